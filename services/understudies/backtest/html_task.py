"""The section of one task in the HTML report."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC
from html import escape

from understudies.backtest.charts import agreement_chart, cost_chart, coverage_chart, served_chart
from understudies.backtest.plain import plain
from understudies.backtest.report import Decision, TaskReport
from understudies.backtest.wording import NOTHING, count, factor, label, money, percent, value

_TONES = {
    "good": ("promoted", "qualified", "gate_promote", "distilled"),
    "bad": ("rejected", "demoted", "drift_contract", "gate_reject", "fallback_teacher"),
    "warn": ("drift_warn", "inconclusive", "not_worth_it", "retired"),
}
_EXPLAINED = ("distilled", "no_change", "collecting", "not_worth_it", "training", "fallback_teacher")
_OUTCOMES = {"fallback_teacher": "teacher kept", "no_change": "no change", "not_worth_it": "not worth it"}


def task_section(place: int, name: str, task: TaskReport, decisions: Sequence[Decision]) -> str:
    """All that is known of a task."""
    return (
        f'<section class="task" id="task-{place}" aria-labelledby="task-{place}-name">'
        f'<header><h2 id="task-{place}-name">{escape(name)}</h2>{outcome_chip(task.outcome.outcome)}</header>'
        f"{_message(task)}{_promise(task)}{_judge(task)}{_strip(task)}"
        f'<div class="charts">{_charts(f"t{place}", task, decisions)}</div>'
        f"{_roi(task)}{_decisions(decisions)}{_details('What the task is like', task.profile)}"
        f"{_details('Numbers behind the outcome', task.outcome.numbers)}</section>"
    )


def outcome_chip(outcome: str) -> str:
    """How a task ended, as a small label."""
    words = _OUTCOMES.get(outcome, outcome.replace("_", " "))
    return f'<span class="chip {_tone(outcome)}">{escape(words)}</span>'


def figure(caption: str, svg: str | None, legend: Sequence[tuple[str, str]] = (), empty: str = "") -> str:
    """A chart with its caption and legend, or a word on why there is none."""
    keys = "".join(f'<span class="key {style}">{escape(text)}</span>' for style, text in legend) if svg else ""
    body = svg or f'<p class="empty">{escape(empty or "Nothing to show.")}</p>'
    return f"<figure><figcaption><b>{escape(caption)}</b>{keys}</figcaption>{body}</figure>"


def _message(task: TaskReport) -> str:
    return f'<p class="message">{escape(task.outcome.message)}</p>' if task.outcome.message else ""


def _promise(task: TaskReport) -> str:
    if task.promise is None:
        return ""
    said = "; ".join(escape(sentence) for sentence in task.promise.sentences())
    tone = " bad" if task.promise.contradicted else ""
    return f'<p class="message{tone}"><b>Promised:</b> {said}.</p>'


def _judge(task: TaskReport) -> str:
    if task.judge is None:
        return ""
    name, reads = escape(task.judge.name), escape(task.judge.reads)
    return f'<p class="message">Answers are compared by <b>{name}</b>: {reads}.</p>'


def _strip(task: TaskReport) -> str:
    totals, last = task.summary.totals, task.summary.last_fifth
    agreement = percent(totals.agreement_served)
    if totals.judged:
        agreement += f" (≥ {percent(totals.agreement_lower_bound)})"
    facts = (
        ("Calls", count(totals.calls)),
        ("Served", f"{percent(totals.served_share)}, last fifth {percent(last.served_share)}"),
        ("Agreement when served", agreement),
        ("Cost", f"{money(totals.cost_before)} → {money(totals.cost_after)}"),
        ("Cheaper by", f"{factor(totals.cost_reduction)}, last fifth {factor(last.cost_reduction)}"),
    )
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts)
        + "</dl>"
    )


def _charts(name: str, task: TaskReport, decisions: Sequence[Decision]) -> str:
    chosen = [("chosen", "chosen threshold")] if task.chosen else []
    return (
        figure(
            "Agreement with the teacher",
            agreement_chart(f"{name}-agreement", task.series, decisions),
            (("student", "known agreement"), ("student band", "bounds"), *_events(decisions)),
            "No student was compared with the teacher.",
        )
        + figure(
            "Served by a student",
            served_chart(f"{name}-served", task.series, decisions),
            (("student bar", "student"), ("teacher bar", "teacher")),
            "There were no calls.",
        )
        + figure(
            "Cumulative cost",
            cost_chart(f"{name}-cost", task.series),
            (("teacher", "teacher alone"), ("student", "with students")),
            "Nothing was paid.",
        )
        + figure(
            "Agreement by share served",
            coverage_chart(f"{name}-coverage", task.risk_coverage, task.chosen),
            (("student", "agreement"), ("student thin", "lower bound"), *chosen),
            "No student was measured against a threshold.",
        )
    )


def _events(decisions: Sequence[Decision]) -> list[tuple[str, str]]:
    """Keys of the rules that charts draw where something happened."""
    events = {decision.event for decision in decisions}
    keys = []
    if "promoted" in events:
        keys.append(("event good", "promoted"))
    if events & {"demoted", "drift_contract", "rejected"}:
        keys.append(("event bad", "drift, demoted or rejected"))
    return keys


def _roi(task: TaskReport) -> str:
    authorised, realised = task.roi_authorised, task.roi_realised
    if not authorised and not realised:
        return '<h3>Return on investment</h3><p class="empty">No student was ever authorised for this task.</p>'
    figures: dict[str, object] = {**(authorised or {}), **(realised or {})}
    keys = list(figures)
    keys.sort(key=lambda key: ("roi" not in key, "break_even" not in key and "bep" not in key))
    rows = "".join(
        f'<tr><th scope="row">{escape(label(key))}</th>'
        f"<td>{_cell(authorised, key)}</td><td>{_cell(realised, key)}</td></tr>"
        for key in keys
    )
    return (
        '<h3>Return on investment and break-even</h3><table class="plain roi"><thead><tr><td></td>'
        '<th scope="col">As authorised</th><th scope="col">As realised</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _cell(figures: Mapping[str, object] | None, key: str) -> str:
    return escape(value(key, figures.get(key))) if figures is not None and key in figures else NOTHING


def _decisions(decisions: Sequence[Decision]) -> str:
    if not decisions:
        return '<h3>Decisions</h3><p class="empty">Nothing was decided: the teacher answered every call.</p>'
    return f'<h3>Decisions</h3><ol class="story">{"".join(_decision(decision) for decision in decisions)}</ol>'


def _decision(decision: Decision) -> str:
    at = decision.at.astimezone(UTC)
    head = (
        f'<time datetime="{at.isoformat()}">{at:%d %b %H:%M}</time>'
        f'<span class="chip {_tone(decision.event)}">{escape(decision.event.replace("_", " "))}</span>'
        f"<b>{escape(decision.student or '')}</b> <span>{escape(decision.reason)}</span>"
    )
    if not decision.evidence:
        return f'<li><div class="entry">{head}</div></li>'
    return f'<li><details><summary class="entry">{head}</summary>{_evidence(decision.evidence)}</details></li>'


def _details(title: str, figures: Mapping[str, object]) -> str:
    if not figures:
        return ""
    return f"<details><summary>{escape(title)}</summary>{_evidence(figures)}</details>"


def _evidence(figures: Mapping[str, object]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(label(key))}</th><td>{_deep(key, item)}</td></tr>'
        for key, item in figures.items()
    )
    return f'<table class="plain evidence"><tbody>{rows}</tbody></table>'


def _deep(key: str, item: object) -> str:
    if isinstance(item, Mapping | list | tuple | set):
        return f"<pre>{escape(json.dumps(plain(item), indent=1, ensure_ascii=False))}</pre>" if item else NOTHING
    return escape(value(key, plain(item)))


def _tone(event: str) -> str:
    return next((tone for tone, events in _TONES.items() if event in events), "plain-tone")
