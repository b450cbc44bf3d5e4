"""Render the report as one self-contained HTML file: no scripts, no fonts, no network."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from html import escape
from importlib.resources import files
from string import Template

from understudies.backtest.report.charts import render_cost_chart
from understudies.backtest.report.figures import FiguresSummary, FigureTotals
from understudies.backtest.report.formatting import (
    MISSING_VALUE,
    format_count,
    format_factor,
    format_percent,
    format_quantity,
    format_usd,
)
from understudies.backtest.report.html_task import render_figure, render_outcome_chip, render_task
from understudies.backtest.report.projection import SavingsProjection
from understudies.backtest.report.report import BacktestReport, DailyFigures, LogSummary, TaskReport
from understudies.backtest.skip_summary import count_reasons

_MAX_REASONS = 20


def render_html(report: BacktestReport) -> str:
    """Render the page of a report; all data is escaped."""
    pages = files("understudies.backtest") / "templates"
    template = Template((pages / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        style=(pages / "report.css").read_text(encoding="utf-8"),
        title=escape(headline_text(report)),
        headline=_render_headline(report),
        notice=_render_notice(report.input),
        lead=escape(_lead_text(report)),
        recommendation=escape(report.recommendation),
        cards=_render_cards(report.overall, report.projection),
        cost=render_figure(
            "Cost of all calls, cumulative",
            render_cost_chart("all-cost", _sum_days(report.tasks.values()), width=1060),
            (("teacher", "teacher alone"), ("student", "with students")),
        ),
        rows="".join(_render_task_row(index, name, task) for index, (name, task) in enumerate(report.tasks.items(), 1)),
        total=_render_total_row(report.overall),
        tasks="".join(
            render_task(index, name, task, [d for d in report.decisions if d.task == name])
            for index, (name, task) in enumerate(report.tasks.items(), 1)
        ),
        input=_render_log_summary(report.input),
        seed=report.seed,
        seconds=f"{report.seconds:,.0f}",
        version=escape(report.version),
    )


def headline_text(report: BacktestReport) -> str:
    """Summarise the savings in one sentence."""
    totals = report.overall.totals
    if not totals.calls:
        return "No calls were played."
    if not totals.served:
        calls = format_quantity(totals.calls, "call")
        return f"No student would have served any of {calls}: all are kept with the teacher."
    if totals.saved <= 0:
        return f"Students would have cost {format_usd(-totals.saved)} more than they saved."
    return f"{format_usd(totals.saved)} of {format_usd(totals.cost_before)} would have been saved."


def _render_headline(report: BacktestReport) -> str:
    totals = report.overall.totals
    if totals.served and totals.saved > 0:
        return (
            f"<strong>{escape(format_usd(totals.saved))}</strong> of {escape(format_usd(totals.cost_before))} "
            "would have been saved."
        )
    return escape(headline_text(report))


def _render_notice(source: LogSummary) -> str:
    return f'<p class="notice">{escape(source.assumption)}</p>' if source.assumption else ""


def _lead_text(report: BacktestReport) -> str:
    totals, last = report.overall.totals, report.overall.last_fifth
    played = _replayed_text(report.input)
    if not totals.served:
        return f"{played} No task was worth handing over, or no student was good enough; the reasons are below."
    agreed = (
        f", and agreed with the teacher on {format_percent(totals.agreement_served)} of those" if totals.judged else ""
    )
    served = f"Students would have served {format_percent(totals.served_share, 0)} of them{agreed}."
    late = f" In the last fifth, calls were {format_factor(last.cost_reduction)} cheaper."
    return f"{played} {served}{late if last.cost_reduction and last.cost_reduction > 1 else ''}"


def _replayed_text(source: LogSummary) -> str:
    days = f"{source.days:,.0f} days" if source.days >= 1.5 else "a day"
    played = format_quantity(source.calls, "recorded call")
    return f"{played} over {days} {'was' if source.calls == 1 else 'were'} played through all five services."


def _render_cards(overall: FiguresSummary, projection: SavingsProjection | None) -> str:
    totals, last = overall.totals, overall.last_fifth
    projected = []
    if projection is not None and totals.served:
        pace = f"at the pace of the last {projection.days:.1f} days"
        projected = [
            ("Saved in a month", format_usd(projection.month), f"{format_usd(projection.year)} a year, {pace}")
        ]
    cards = (
        ("Saved", format_usd(totals.saved), f"{format_usd(last.saved)} in the last fifth"),
        *projected,
        ("Cheaper by", format_factor(totals.cost_reduction), f"{format_factor(last.cost_reduction)} in the last fifth"),
        (
            "Served by students",
            format_percent(totals.served_share),
            f"{format_percent(last.served_share)} in the last fifth",
        ),
        (
            "Agreement when served",
            format_percent(totals.agreement_served),
            f"at least {format_percent(totals.agreement_lower_bound)}, at 95% confidence"
            if totals.judged
            else "no call was served",
        ),
    )
    return "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>'
        for name, value, note in cards
    )


def _render_task_row(index: int, name: str, task: TaskReport) -> str:
    return (
        f'<tr><th scope="row"><a href="#task-{index}">{escape(name)}</a>'
        f"{render_outcome_chip(task.outcome.outcome)}</th>"
        f"{_render_figures(task.summary.totals, task.summary.last_fifth)}</tr>"
    )


def _render_total_row(overall: FiguresSummary) -> str:
    return f'<tr><th scope="row">All calls</th>{_render_figures(overall.totals, overall.last_fifth)}</tr>'


def _render_figures(totals: FigureTotals, last: FigureTotals) -> str:
    lower = f"<small>≥ {escape(format_percent(totals.agreement_lower_bound))}</small>" if totals.judged else ""
    return (
        f"<td>{format_count(totals.calls)}</td>"
        f"<td>{_render_meter(totals.served_share)}</td>"
        f"<td>{escape(format_percent(totals.agreement_served))}{lower}</td>"
        f"<td>{escape(format_usd(totals.cost_before))}</td><td>{escape(format_usd(totals.cost_after))}</td>"
        f'<td class="{"gain" if totals.saved > 0 else "loss" if totals.saved < 0 else ""}">'
        f"{escape(format_usd(totals.saved))}</td>"
        f"<td>{escape(format_factor(totals.cost_reduction))}"
        f"<small>{escape(format_factor(last.cost_reduction))} last fifth</small></td>"
    )


def _render_meter(share: float) -> str:
    filled = min(max(share, 0.0), 1.0) * 100
    return f'<span class="meter"><i style="width:{filled:.1f}%"></i></span>{escape(format_percent(share, 0))}'


def _sum_days(tasks: Iterable[TaskReport]) -> list[DailyFigures]:
    """Sum the costs and counts of all tasks by day."""
    sums: dict[datetime, DailyFigures] = {}
    for task in tasks:
        for day in task.series:
            summed = sums.get(day.at)
            sums[day.at] = day if summed is None else _add_days(summed, day)
    return [sums[at] for at in sorted(sums)]


def _add_days(one: DailyFigures, other: DailyFigures) -> DailyFigures:
    return replace(
        one,
        calls=one.calls + other.calls,
        served=one.served + other.served,
        cost_before=Decimal(one.cost_before + other.cost_before),
        cost_after=Decimal(one.cost_after + other.cost_after),
    )


def _render_log_summary(source: LogSummary) -> str:
    facts = (
        ("File", source.path),
        ("Form", source.format),
        ("Calls", format_count(source.calls)),
        ("Played over", f"{source.days:,.4g} days"),
        ("Without a time", format_count(source.undated) if source.undated else MISSING_VALUE),
        ("Lines skipped", format_count(len(source.skipped)) if source.skipped else MISSING_VALUE),
    )
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'{_render_warnings(source)}<dl class="facts">{listed}</dl>{_render_skipped_lines(source)}'


def _render_warnings(source: LogSummary) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in source.warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def _render_skipped_lines(source: LogSummary) -> str:
    if not source.skipped:
        return ""
    reasons = count_reasons(source.skipped)
    rows = "".join(
        f"<tr><td>{format_count(reason.count)}</td><td>{escape(reason.first.place)}</td>"
        f"<td>{escape(reason.first.reason)}</td></tr>"
        for reason in reasons[:_MAX_REASONS]
    )
    more = sum(reason.count for reason in reasons[_MAX_REASONS:])
    rest = f"<p>and {format_count(more)} more</p>" if more else ""
    return (
        f"<details><summary>Lines that hold no recorded call</summary><div class='scroll'>"
        "<table class='plain'><thead><tr><th>Lines</th>"
        f"<th>First</th><th>Why it was skipped</th></tr></thead><tbody>{rows}</tbody></table></div>{rest}</details>"
    )
