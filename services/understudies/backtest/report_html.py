"""The report as one HTML file that needs nothing else: no scripts, no fonts, no network."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from html import escape
from importlib.resources import files
from string import Template

from understudies.backtest.charts import cost_chart
from understudies.backtest.figures import Summary, Totals
from understudies.backtest.html_task import figure, outcome_chip, task_section
from understudies.backtest.report import Day, Input, Report, TaskReport
from understudies.backtest.wording import NOTHING, count, factor, money, percent


def render_html(report: Report) -> str:
    """The page of a report; everything that comes from the data is escaped."""
    pages = files("understudies.backtest") / "templates"
    template = Template((pages / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        style=(pages / "report.css").read_text(encoding="utf-8"),
        title=escape(headline(report)),
        headline=_headline_html(report),
        lead=escape(_lead(report)),
        cards=_cards(report.overall),
        cost=figure(
            "Cost of all calls, cumulative",
            cost_chart("all-cost", _all_days(report.tasks.values()), width=1060),
            (("teacher", "teacher alone"), ("student", "with students")),
        ),
        rows="".join(_row(place, name, task) for place, (name, task) in enumerate(report.tasks.items(), 1)),
        total=_total(report.overall),
        tasks="".join(
            task_section(place, name, task, [d for d in report.decisions if d.task == name])
            for place, (name, task) in enumerate(report.tasks.items(), 1)
        ),
        input=_input(report.input),
        seed=report.seed,
        seconds=f"{report.seconds:,.0f}",
        version=escape(report.version),
    )


def headline(report: Report) -> str:
    """What would have been saved, in one sentence."""
    totals = report.overall.totals
    if not totals.calls:
        return "No calls were played."
    if not totals.served:
        return f"No student would have served any of {count(totals.calls)} calls: the teacher keeps them all."
    if totals.saved <= 0:
        return f"Students would have cost {money(-totals.saved)} more than they saved."
    return f"{money(totals.saved)} of {money(totals.cost_before)} would have been saved."


def _headline_html(report: Report) -> str:
    totals = report.overall.totals
    if totals.served and totals.saved > 0:
        return (
            f"<strong>{escape(money(totals.saved))}</strong> of {escape(money(totals.cost_before))} "
            "would have been saved."
        )
    return escape(headline(report))


def _lead(report: Report) -> str:
    totals, last = report.overall.totals, report.overall.last_fifth
    played = _played(report.input)
    if not totals.served:
        return f"{played} No task was worth handing over, or no student was good enough; the reasons are below."
    agreed = f", and agreed with the teacher on {percent(totals.agreement_served)} of those" if totals.judged else ""
    served = f"Students would have served {percent(totals.served_share, 0)} of them{agreed}."
    late = f" In the last fifth, calls were {factor(last.cost_reduction)} cheaper."
    return f"{played} {served}{late if last.cost_reduction and last.cost_reduction > 1 else ''}"


def _played(source: Input) -> str:
    days = f"{source.days:,.0f} days" if source.days >= 1.5 else "a day"
    return f"{count(source.calls)} recorded calls over {days} were played through all five services."


def _cards(overall: Summary) -> str:
    totals, last = overall.totals, overall.last_fifth
    cards = (
        ("Saved", money(totals.saved), f"{money(last.saved)} in the last fifth"),
        ("Cheaper by", factor(totals.cost_reduction), f"{factor(last.cost_reduction)} in the last fifth"),
        ("Served by students", percent(totals.served_share), f"{percent(last.served_share)} in the last fifth"),
        (
            "Agreement when served",
            percent(totals.agreement_served),
            f"at least {percent(totals.agreement_lower_bound)}, at 95% confidence"
            if totals.judged
            else "no call was served",
        ),
    )
    return "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>'
        for name, value, note in cards
    )


def _row(place: int, name: str, task: TaskReport) -> str:
    return (
        f'<tr><th scope="row"><a href="#task-{place}">{escape(name)}</a>{outcome_chip(task.outcome.outcome)}</th>'
        f"{_figures(task.summary.totals, task.summary.last_fifth)}</tr>"
    )


def _total(overall: Summary) -> str:
    return f'<tr><th scope="row">All calls</th>{_figures(overall.totals, overall.last_fifth)}</tr>'


def _figures(totals: Totals, last: Totals) -> str:
    lower = f"<small>≥ {escape(percent(totals.agreement_lower_bound))}</small>" if totals.judged else ""
    return (
        f"<td>{count(totals.calls)}</td>"
        f"<td>{_meter(totals.served_share)}</td>"
        f"<td>{escape(percent(totals.agreement_served))}{lower}</td>"
        f"<td>{escape(money(totals.cost_before))}</td><td>{escape(money(totals.cost_after))}</td>"
        f'<td class="{"gain" if totals.saved > 0 else "loss" if totals.saved < 0 else ""}">'
        f"{escape(money(totals.saved))}</td>"
        f"<td>{escape(factor(totals.cost_reduction))}"
        f"<small>{escape(factor(last.cost_reduction))} last fifth</small></td>"
    )


def _meter(share: float) -> str:
    filled = min(max(share, 0.0), 1.0) * 100
    return f'<span class="meter"><i style="width:{filled:.1f}%"></i></span>{escape(percent(share, 0))}'


def _all_days(tasks: Iterable[TaskReport]) -> list[Day]:
    """The days of all tasks together; only their costs and counts are summed."""
    sums: dict[datetime, Day] = {}
    for task in tasks:
        for day in task.series:
            known = sums.get(day.at)
            sums[day.at] = day if known is None else _plus(known, day)
    return [sums[at] for at in sorted(sums)]


def _plus(one: Day, other: Day) -> Day:
    return replace(
        one,
        calls=one.calls + other.calls,
        served=one.served + other.served,
        cost_before=Decimal(one.cost_before + other.cost_before),
        cost_after=Decimal(one.cost_after + other.cost_after),
    )


def _input(source: Input) -> str:
    facts = (
        ("File", source.path),
        ("Form", source.format),
        ("Calls", count(source.calls)),
        ("Played over", f"{source.days:,.4g} days"),
        ("Without a time", count(source.undated) if source.undated else NOTHING),
        ("Lines skipped", count(len(source.broken)) if source.broken else NOTHING),
    )
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{listed}</dl>{_broken(source)}'


def _broken(source: Input) -> str:
    if not source.broken:
        return ""
    shown = source.to_dict()["broken"]
    rows = "".join(f"<tr><td>{b['line']}</td><td>{escape(b['reason'])}</td></tr>" for b in shown)
    more = len(source.broken) - len(shown)
    rest = f"<p>and {count(more)} more</p>" if more else ""
    return (
        f"<details><summary>Lines that hold no recorded call</summary><table class='plain'><thead><tr><th>Line</th>"
        f"<th>Why it was skipped</th></tr></thead><tbody>{rows}</tbody></table>{rest}</details>"
    )
