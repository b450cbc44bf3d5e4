"""The page of one task: its standing, its charts, its ledger, and all that happened to it."""

from html import escape
from typing import Final

from understudies.backtest.report.charts import (
    render_agreement_chart,
    render_cost_chart,
    render_coverage_chart,
    render_served_chart,
)
from understudies.backtest.report.formatting import format_count, format_percent, format_quantity, format_usd
from understudies.backtest.report.html_task import event_legend, render_figure
from understudies.budget.ledger import Ledger
from understudies.console.page import (
    DISAGREEMENTS_PATH,
    address,
    render_elsewhere,
    render_page,
    render_section,
    render_table,
    render_time,
    render_trail,
    student_link,
)
from understudies.console.reads.agreement import Confusion
from understudies.console.reads.task_details import TaskDetails
from understudies.console.views.decision_form import render_decision_form
from understudies.console.views.evidence_chart import render_evidence_chart
from understudies.console.views.task_section import render_task
from understudies.status.standing import StoryEvent, TaskStanding
from understudies.status.wording import event_words

_MAX_CLASSES: Final = 12


def render_task_page(details: TaskDetails, *, steers: bool = True, elsewhere: str = "") -> str:
    """Return the page of a task, with the form of decisions if it `steers`; a tenant's has no ledger either.

    `elsewhere` says where to see what the page lacks.
    """
    standing = details.standing
    own = details.tenant is None
    disagreements = f'<a class="more" href="{escape(_disagreements(standing.task))}">Disagreements</a>'
    body = "".join(
        (
            render_task(1, standing, linked=False),
            render_section("charts", "Over time", _render_charts(details), disagreements),
            _render_confusion(details.confusion) if details.confusion else "",
            _render_ledger(details.ledger) if details.ledger else "",
            render_elsewhere(elsewhere),
            _render_students(details) if own and details.students else "",
            _render_story(details) if own else "",
            render_decision_form(standing) if own and steers else "",
        )
    )
    return render_page(
        f"{standing.task} · Understudies",
        standing.task,
        _describe_to_date(standing),
        body,
        "Figures in UTC and US dollars.",
        trail=render_trail(("/", "All tasks")),
        whole=own,
    )


def _disagreements(task: str) -> str:
    return address(DISAGREEMENTS_PATH, task=task)


def _describe_to_date(standing: TaskStanding) -> str:
    counts = standing.to_date
    student = f" Student {standing.student}: {standing.stage}." if standing.student else ""
    return (
        f"{format_quantity(counts.calls, 'call')} to date, {format_percent(counts.served_share)} of them served by "
        f"students.{student}"
    )


def _render_charts(details: TaskDetails) -> str:
    chosen = [("chosen", "threshold in force")] if details.chosen else []
    figures = [
        render_figure(
            "Agreement with the teacher",
            render_agreement_chart("agreement", details.days, details.events),
            (
                ("student", "agreement so far"),
                ("student band", "bounds"),
                ("day", "a day alone"),
                *event_legend(details.events),
            ),
            "No student was compared with the teacher.",
        ),
        render_figure(
            "Served by a student",
            render_served_chart("served", details.days, details.events),
            (("student bar", "student"), ("teacher bar", "teacher")),
            "There were no calls.",
        ),
        render_figure(
            "Cumulative cost, of calls, audits and training",
            render_cost_chart("cost", details.days),
            (("teacher", "teacher alone"), ("student", "with students")),
            "Nothing was paid.",
        ),
    ]
    if details.tenant is None:
        figures += [
            render_figure(
                "Agreement by share served",
                render_coverage_chart("coverage", details.curve, details.chosen),
                (("student", "agreement"), ("student thin", "lower bound"), *chosen),
                "No student was measured against a threshold.",
            ),
            render_figure(
                "Evidence of the gates, and how much passes",
                render_evidence_chart("evidence", details.gate),
                (("evidence", "on distinct inputs"), ("calls", "on calls")),
                "No student's gates have evidence.",
            ),
        ]
    return f'<div class="charts">{"".join(figures)}</div>'


def _render_confusion(confusion: Confusion) -> str:
    """Render which answers are taken for which: rows are the teacher's, columns the student's."""
    if not confusion.total:
        return ""
    classes = confusion.classes(_MAX_CLASSES)
    others = confusion.total - sum(confusion.counts.get((one, other), 0) for one in classes for other in classes)
    rows = [[_class_name(teacher), *(_count_cell(confusion, teacher, one) for one in classes)] for teacher in classes]
    head = ["Teacher, below; student, to the right", *(_plain_name(name) for name in classes)]
    note = f"<p class='last'>{format_count(others)} more among the other answers.</p>" if others else ""
    table = render_table("Confusion of answers", head, rows, "confusion")
    lead = f"{format_quantity(confusion.total, 'verdict')} on answers from a closed set; most often confused first."
    return render_section("confusion", "Which answer is taken for which", f'<p class="last">{lead}</p>{table}{note}')


def _plain_name(name: str) -> str:
    return name or "none of them"


def _class_name(name: str) -> str:
    return escape(_plain_name(name))


def _count_cell(confusion: Confusion, teacher: str, student: str) -> str:
    count = confusion.counts.get((teacher, student), 0)
    style = "same" if teacher == student else "wrong" if count else "none"
    return f'<span class="{style}">{format_count(count) if count else "·"}</span>'


def _render_ledger(ledger: Ledger) -> str:
    rows = (
        ("Teacher's answers", format_count(ledger.teacher_calls), format_usd(ledger.teacher)),
        (
            "Students' answers, those left to the teacher included",
            format_count(ledger.served),
            format_usd(ledger.students),
        ),
        ("Audits of served answers", format_count(ledger.audits), format_usd(ledger.audit)),
        ("Answers of students that were only compared", "", format_usd(ledger.compared)),
        ("Training", "", format_usd(ledger.training)),
        ("Spent", format_count(ledger.calls), format_usd(ledger.total_cost)),
        ("The teacher alone would have cost", "", format_usd(ledger.cost_without_students)),
        ("Saved", "", format_usd(ledger.savings)),
    )
    cells = ([escape(name), count, escape(amount)] for name, count, amount in rows)
    return render_section(
        "ledger", "Cost ledger", render_table("Ledger to date", ("To date", "Calls", "US dollars"), cells)
    )


def _render_students(details: TaskDetails) -> str:
    task = details.standing.task
    links = [f'<a href="{escape(student_link(task, name))}">{escape(name)}</a>' for name in reversed(details.students)]
    return render_section("students", "Students", f'<p class="wait">{" · ".join(links)}</p>')


def _render_story(details: TaskDetails) -> str:
    events = "".join(_render_event(details.standing.task, event) for event in reversed(details.story.events))
    return render_section("story", "Its story, the latest first", f'<ol class="told" reversed>{events}</ol>')


def _render_event(task: str, event: StoryEvent) -> str:
    student = ""
    if event.student:
        student = f'<a href="{escape(student_link(task, event.student))}">{escape(event.student)}</a>'
    text = f"<div>{escape(event.text)}</div>" if event.text else ""
    return f"<li>{render_time(event.at)}<b>{escape(event_words(event.what))}</b>{student}{text}</li>"
