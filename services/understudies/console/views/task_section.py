"""One task's standing as a section of a page: its phase, what it waits for, and the figures."""

from collections.abc import Iterator
from html import escape

from understudies.backtest.report.formatting import format_count, format_percent, format_quantity, format_usd
from understudies.console.page import render_chip, render_facts, render_time, task_link
from understudies.status.standing import TaskStanding
from understudies.status.wording import event_words

_MAX_ROI = 99.99


def render_task(number: int, standing: TaskStanding, *, linked: bool = True) -> str:
    """Return the section of a task; `number` makes its id."""
    name = escape(standing.task)
    title = f'<a href="{escape(task_link(standing.task))}">{name}</a>' if linked else name
    return (
        f'<section class="task" aria-labelledby="task-{number}">'
        f'<header><h2 id="task-{number}">{title}</h2>{render_chip(standing.phase)}</header>'
        f'<p class="wait"><b>Waits for</b> {escape(standing.waits_for)}</p>'
        f"{''.join(_render_notes(standing))}"
        f"{render_facts(_facts(standing))}"
        f"</section>"
    )


def _render_notes(standing: TaskStanding) -> Iterator[str]:
    for decision in standing.steered:
        yield f'<p class="caution">{escape(str(decision))}</p>'
    if standing.not_loaded:
        yield f'<p class="alert">{escape(f"{standing.student} cannot be loaded: {standing.not_loaded}")}</p>'
    if standing.judge_failure:
        yield f'<p class="alert">{escape(f"Its judge gives no verdict: {standing.judge_failure}")}</p>'
    price = standing.teacher_price
    if price is not None and price.source.startswith("assumed"):
        yield f'<p class="caution">{escape(f"The price of its teacher is {price.source}.")}</p>'
    last = standing.last_decision
    if last is not None:
        text = escape(f"{event_words(last.what)} {last.student}" + (f": {last.reason}" if last.reason else ""))
        yield f'<p class="last">{render_time(last.at)} {text}</p>'


def _facts(standing: TaskStanding) -> Iterator[tuple[str, str, str]]:
    if standing.examples is not None:
        needed = "" if standing.needed is None else f"of {format_count(standing.needed)} needed"
        yield "Examples", format_count(standing.examples), needed
    if standing.teacher_price is not None:
        yield "Teacher, a call", format_usd(standing.teacher_price.usd), standing.teacher_price.source
    # Beside a serving student whose successor would not pay there is nothing to decide.
    if standing.roi is not None and not (standing.share is not None and standing.break_even_calls is None):
        even = standing.break_even_calls
        text = "never breaks even" if even is None else f"break-even after {format_quantity(even, 'call')}"
        yield "Return on the next student", f"{min(standing.roi, _MAX_ROI) * 100:+,.0f}%", text
    if standing.agreement is not None:
        found = standing.agreement
        yield (
            "Agreement",
            format_percent(found.share),
            f"≥ {format_percent(found.lower)}, {format_percent(standing.promised, 0)} promised; "
            f"{format_count(found.compared)} {found.basis}",
        )
    if standing.trial is not None:
        trial = standing.trial
        evidence = f"{trial.input_evidence:.3g} and {trial.call_evidence:.3g}"
        yield "Evidence of the gates", evidence, f"of {trial.evidence_needed:.3g} each, on inputs and on calls"
    if standing.share is not None:
        proven = "" if standing.coverage is None else f"proven on {format_percent(standing.coverage, 0)} of all calls"
        yield "Share of eligible calls", format_percent(standing.share, 0), proven
    today = standing.today
    count = f"{format_count(today.calls)} today" if today.calls else "none today"
    yield "Calls to date", format_count(standing.to_date.calls), count
    if standing.student is not None:
        share = f"{format_percent(today.served_share)} today" if today.calls else "of all calls"
        yield "Served by students", format_percent(standing.to_date.served_share), share
    if standing.weekly_calls is not None:
        yield "Forecast", format_count(standing.weekly_calls), "calls a week"
    if standing.student is not None:
        yield "Saved to date", format_usd(standing.saved_usd), f"{format_usd(standing.spent_usd)} spent"
