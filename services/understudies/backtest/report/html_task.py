"""Render the section of one task in the HTML report."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from html import escape

from understudies.backtest.report.charts import (
    render_agreement_chart,
    render_cost_chart,
    render_coverage_chart,
    render_served_chart,
)
from understudies.backtest.report.formatting import (
    MISSING_VALUE,
    format_count,
    format_factor,
    format_label,
    format_outcome,
    format_percent,
    format_usd,
    format_value,
)
from understudies.backtest.report.json_values import to_json
from understudies.backtest.report.report import DecisionEntry, TaskReport
from understudies.status.wording import event_words

_TONES = {
    "good": ("promoted", "qualified", "gate_promote", "distilled"),
    "bad": ("rejected", "demoted", "drift_contract", "gate_reject", "fallback_teacher"),
    "warn": ("drift_warn", "inconclusive", "not_worth_it", "retired", "critical"),
}
_MAX_ROWS = 60
"""The most rows or items of a nested figure that are shown."""


def render_task(index: int, name: str, task: TaskReport, decisions: Sequence[DecisionEntry]) -> str:
    """Render everything known about a task."""
    return (
        f'<section class="task" id="task-{index}" aria-labelledby="task-{index}-name">'
        f'<header><h2 id="task-{index}-name">{escape(name)}</h2>{render_outcome_chip(task.outcome.outcome)}</header>'
        f"{_render_message(task)}{_render_promise(task)}{_render_shortfall(task)}{_render_judge(task)}{_render_key_figures(task)}"
        f'<div class="charts">{_render_charts(f"t{index}", task, decisions)}</div>'
        f"{_render_roi(task)}{_render_decisions(decisions)}{_render_details('What the task is like', task.profile)}"
        f"{_render_details('Numbers behind the outcome', task.outcome.numbers)}</section>"
    )


def render_outcome_chip(outcome: str) -> str:
    """Render the outcome of a task as a small label."""
    return f'<span class="chip {_event_tone(outcome)}">{escape(format_outcome(outcome))}</span>'


def render_figure(caption: str, svg: str | None, legend: Sequence[tuple[str, str]] = (), empty: str = "") -> str:
    """Render a chart with its caption and legend, or a text if it is empty."""
    keys = "".join(f'<span class="key {style}">{escape(text)}</span>' for style, text in legend) if svg else ""
    body = svg or f'<p class="empty">{escape(empty or "Nothing to show.")}</p>'
    return f"<figure><figcaption><b>{escape(caption)}</b>{keys}</figcaption>{body}</figure>"


def _render_message(task: TaskReport) -> str:
    return f'<p class="message">{escape(task.outcome.message)}</p>' if task.outcome.message else ""


def _render_promise(task: TaskReport) -> str:
    if task.promise is None:
        return ""
    sentences = "; ".join(escape(sentence) for sentence in task.promise.sentences())
    tone = " bad" if task.promise.contradiction else ""
    return f'<p class="message{tone}"><b>Promised:</b> {sentences}.</p>'


def _render_shortfall(task: TaskReport) -> str:
    return f'<p class="message">{escape(task.shortfall)}</p>' if task.shortfall else ""


def _render_judge(task: TaskReport) -> str:
    if task.judge is None:
        return ""
    name, reads = escape(task.judge.name), escape(task.judge.description)
    return f'<p class="message">Answers are compared by <b>{name}</b>: {reads}.</p>'


def _render_key_figures(task: TaskReport) -> str:
    totals, last = task.summary.totals, task.summary.last_fifth
    agreement = format_percent(totals.agreement_served)
    if totals.judged:
        agreement += f" (≥ {format_percent(totals.agreement_lower_bound)})"
    facts = (
        ("Calls", format_count(totals.calls)),
        ("Served", f"{format_percent(totals.served_share)}, last fifth {format_percent(last.served_share)}"),
        ("Agreement when served", agreement),
        ("Cost", f"{format_usd(totals.cost_before)} → {format_usd(totals.cost_after)}"),
        ("Cheaper by", f"{format_factor(totals.cost_reduction)}, last fifth {format_factor(last.cost_reduction)}"),
    )
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts)
        + "</dl>"
    )


def _render_charts(name: str, task: TaskReport, decisions: Sequence[DecisionEntry]) -> str:
    chosen = [("chosen", "chosen threshold")] if task.chosen else []
    return (
        render_figure(
            "Agreement with the teacher",
            render_agreement_chart(f"{name}-agreement", task.series, decisions),
            (
                ("student", "agreement so far"),
                ("student band", "bounds"),
                ("day", "a day alone"),
                *event_legend(decisions),
            ),
            "No student was compared with the teacher.",
        )
        + render_figure(
            "Served by a student",
            render_served_chart(f"{name}-served", task.series, decisions),
            (("student bar", "student"), ("teacher bar", "teacher")),
            "There were no calls.",
        )
        + render_figure(
            "Cumulative cost",
            render_cost_chart(f"{name}-cost", task.series),
            (("teacher", "teacher alone"), ("student", "with students")),
            "Nothing was paid.",
        )
        + render_figure(
            "Agreement by share served",
            render_coverage_chart(f"{name}-coverage", task.risk_coverage, task.chosen),
            (("student", "agreement"), ("student thin", "lower bound"), *chosen),
            "No student was measured against a threshold.",
        )
    )


def event_legend(decisions: Sequence[DecisionEntry]) -> list[tuple[str, str]]:
    """Return the legend of the event rules in the charts."""
    events = {decision.event for decision in decisions}
    keys = []
    if "promoted" in events:
        keys.append(("event good", "promoted"))
    if events & {"demoted", "rejected"}:
        keys.append(("event bad", "demoted or rejected"))
    if "drift_contract" in events:
        keys.append(("fall", "drift, and how far it fell"))
    return keys


def _render_roi(task: TaskReport) -> str:
    authorised, realised = task.roi_authorised, task.roi_realised
    if not authorised and not realised:
        return '<h3>Return on investment</h3><p class="empty">No student was ever authorised for this task.</p>'
    figures: dict[str, object] = {**(authorised or {}), **(realised or {})}
    keys = list(figures)
    keys.sort(key=lambda key: ("roi" not in key, "break_even" not in key and "bep" not in key))
    rows = "".join(
        f'<tr><th scope="row">{escape(format_label(key))}</th>'
        f"<td>{_render_cell(authorised, key)}</td><td>{_render_cell(realised, key)}</td></tr>"
        for key in keys
    )
    return (
        '<h3>Return on investment and break-even</h3><div class="scroll"><table class="plain roi"><thead><tr><td></td>'
        '<th scope="col">As authorised</th><th scope="col">As realised</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _render_cell(figures: Mapping[str, object] | None, key: str) -> str:
    return escape(format_value(key, figures.get(key))) if figures is not None and key in figures else MISSING_VALUE


def _render_decisions(decisions: Sequence[DecisionEntry]) -> str:
    if not decisions:
        return '<h3>Decisions</h3><p class="empty">Nothing was decided: the teacher answered every call.</p>'
    return f'<h3>Decisions</h3><ol class="story">{"".join(_render_decision(decision) for decision in decisions)}</ol>'


def _render_decision(decision: DecisionEntry) -> str:
    at = decision.at.astimezone(UTC)
    head = (
        f'<time datetime="{at.isoformat()}">{at:%d %b %H:%M}</time>'
        f'<span class="chip {_event_tone(decision.event)}">{escape(event_words(decision.event))}</span>'
        f"<b>{escape(decision.student or '')}</b> <span>{escape(decision.reason)}</span>"
    )
    if not decision.evidence:
        return f'<li><div class="entry">{head}</div></li>'
    return f'<li><details><summary class="entry">{head}</summary>{_render_evidence(decision.evidence)}</details></li>'


def _render_details(title: str, figures: Mapping[str, object]) -> str:
    if not figures:
        return ""
    return f"<details><summary>{escape(title)}</summary>{_render_evidence(figures)}</details>"


def _render_evidence(figures: Mapping[str, object]) -> str:
    return f'<div class="scroll">{_render_mapping(figures)}</div>'


def _render_mapping(figures: Mapping[str, object]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(format_label(str(key)))}</th><td>{_render_value(str(key), item)}</td></tr>'
        for key, item in list(figures.items())[:_MAX_ROWS]
    )
    return f'<table class="plain evidence"><tbody>{rows}{_render_rest(len(figures))}</tbody></table>'


def _render_value(key: str, item: object) -> str:
    """Render a figure: nested ones as tables, lists of figures as a row each, other lists in a line."""
    if isinstance(item, Mapping):
        return _render_mapping(item) if item else MISSING_VALUE
    if isinstance(item, list | tuple | set | frozenset):
        items = list(item)
        if not items:
            return MISSING_VALUE
        if all(isinstance(one, Mapping) for one in items):
            return _render_rows(items)
        shown = ", ".join(_render_value(key, one) for one in items[:_MAX_ROWS])
        return shown if len(items) <= _MAX_ROWS else f"{shown} and {len(items) - _MAX_ROWS:,} more"
    return escape(format_value(key, to_json(item)))


def _render_rows(items: Sequence[Mapping[str, object]]) -> str:
    """Render figures of one form as a table with a column each."""
    keys = list(dict.fromkeys(str(key) for item in items for key in item))
    head = "".join(f'<th scope="col">{escape(format_label(key))}</th>' for key in keys)
    body = "".join(
        f"<tr>{''.join(f'<td>{_render_value(key, item.get(key))}</td>' for key in keys)}</tr>"
        for item in items[:_MAX_ROWS]
    )
    return (
        f'<table class="plain evidence"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}{_render_rest(len(items))}</tbody></table>"
    )


def _render_rest(count: int) -> str:
    return f"<tr><td>and {count - _MAX_ROWS:,} more</td></tr>" if count > _MAX_ROWS else ""


def _event_tone(event: str) -> str:
    return next((tone for tone, events in _TONES.items() if event in events), "plain-tone")
