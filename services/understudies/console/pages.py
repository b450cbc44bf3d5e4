"""The console's two pages: all tasks, and one task with its story."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from html import escape

from understudies.backtest.report.formatting import format_count, format_percent, format_quantity, format_usd
from understudies.console.decision_form import render_decision_form
from understudies.console.page import render_facts, render_page, render_time
from understudies.console.task_section import render_task
from understudies.status.standing import CallCounts, Overview, StoryEvent, TaskStanding, TaskStory


def render_overview(overview: Overview) -> str:
    """Return the page of all tasks."""
    tasks = overview.tasks
    if not tasks:
        body = '<p class="lead">Point an agent at the router: each task appears here with its first call.</p>'
        return _page("No call was recorded yet", "", body, overview)
    today = _sum(task.today for task in tasks)
    saved = sum((task.saved_usd or Decimal(0) for task in tasks if task.student), Decimal(0))
    phases = ", ".join(f"{count} {phase}" for phase, count in Counter(task.phase for task in tasks).most_common())
    cards = render_facts(
        [
            ("Calls today", format_count(today.calls), "since midnight, UTC"),
            ("Served by students today", format_percent(today.served_share), format_quantity(today.served, "call")),
            ("Saved to date", format_usd(saved), "net of training, trials and audits"),
            ("Spent to date", format_usd(sum((task.spent_usd or Decimal(0) for task in tasks), Decimal(0))), ""),
        ],
        "cards",
    ).replace("<div>", '<div class="card">')
    sections = "".join(render_task(number, task) for number, task in enumerate(tasks, 1))
    return _page(f"{format_quantity(len(tasks), 'task')}: {phases}", "", cards + sections, overview)


def render_story(story: TaskStory) -> str:
    """Return the page of one task: its standing, then all that happened to it, the latest first."""
    standing = story.standing
    events = "".join(_render_event(event) for event in reversed(story.events))
    body = (
        f"{render_task(1, standing, linked=False)}"
        '<section class="task" aria-labelledby="story">'
        '<header><h2 id="story">Its story, the latest first</h2></header>'
        f'<ol class="told" reversed>{events}</ol></section>'
        f"{render_decision_form(standing)}"
    )
    return render_page(
        f"{standing.task} · Understudies",
        standing.task,
        _describe_to_date(standing),
        body,
        "Figures in UTC and US dollars.",
        nav='<nav><a href="/">All tasks</a></nav>',
    )


def _page(headline: str, lead: str, body: str, overview: Overview) -> str:
    footer = f"{overview.at:%Y-%m-%d %H:%M:%S} UTC · {overview.source} · reload the page for newer figures"
    return render_page("Understudies", headline, lead, body, footer)


def _describe_to_date(standing: TaskStanding) -> str:
    counts = standing.to_date
    student = f" Student {standing.student}: {standing.stage}." if standing.student else ""
    return (
        f"{format_quantity(counts.calls, 'call')} to date, {format_percent(counts.served_share)} of them served by "
        f"students.{student}"
    )


def _render_event(event: StoryEvent) -> str:
    student = f"<span>{escape(event.student)}</span>" if event.student else ""
    text = f"<div>{escape(event.text)}</div>" if event.text else ""
    return f"<li>{render_time(event.at)}<b>{escape(event.what)}</b>{student}{text}</li>"


def _sum(counts: Iterable[CallCounts]) -> CallCounts:
    known = list(counts)
    return CallCounts(calls=sum(count.calls for count in known), served=sum(count.served for count in known))
