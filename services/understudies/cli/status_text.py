"""Render the status for the terminal, narrow enough for 80 columns."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from understudies.backtest.report.formatting import (
    MISSING_VALUE,
    format_count,
    format_percent,
    format_quantity,
    format_usd,
)
from understudies.status.standing import CallCounts, LastDecision, Overview, Phase, TaskStanding, TaskStory

_STYLES: Final[dict[Phase, str]] = {
    "recording": "cyan",
    "trial": "yellow",
    "serving": "green",
    "drifted": "bold red",
    "kept with the teacher": "dim",
    "critical": "magenta",
    "paused": "bold yellow",
}
_COLUMNS: Final = (
    ("Task", 16),
    ("Examples", 8),
    ("Teacher", 9),
    ("ROI", 8),
    ("Agreement", 9),
    ("Share", 7),
    ("Today", 7),
    ("Saved", 9),
)
_INDENT: Final = 2


def render_overview(overview: Overview) -> RenderableType:
    """Render one row of figures for every task, with what it waits for and its last decision below."""
    parts: list[RenderableType] = [_row([Text(name, style="bold") for name, _ in _COLUMNS])]
    for standing in overview.tasks:
        parts += [_row(_cells(standing)), _below(_sentences(standing)), Text()]
    parts += _format_missing(overview.missing)
    if not overview.tasks and not overview.missing:
        parts.append(Text("No call of any task was recorded yet: point an agent at the router.\n"))
    parts.append(Text(_footer(overview), style="dim"))
    return Group(*parts)


def render_story(story: TaskStory) -> RenderableType:
    """Render a task's standing, then all that happened to it, oldest first."""
    standing = story.standing
    parts: list[RenderableType] = [
        _row([Text(name, style="bold") for name, _ in _COLUMNS]),
        _row(_cells(standing)),
        _below([*_sentences(standing), *_details(standing)]),
        Text(),
        *_format_missing(story.missing),
    ]
    for event in story.events:
        line = Text(f"{_format_moment(event.at)}  ", style="dim").append(event.what, style="bold")
        parts.append(line.append(f"  {event.student or ''}", style="cyan"))
        if event.text:
            parts.append(_below([Text(event.text)]))
    return Group(*parts)


def _format_missing(missing: Sequence[str]) -> list[Text]:
    return [Text(f"Not all is here: {what}\n", style="bold red") for what in missing]


def _row(cells: list[Text]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    for position, (_, width) in enumerate(_COLUMNS):
        table.add_column(width=width, overflow="fold", justify="left" if position == 0 else "right")
    table.add_row(*cells)
    return table


def _below(lines: list[Text]) -> Padding:
    return Padding(Group(*lines), (0, 0, 0, _INDENT))


def _cells(standing: TaskStanding) -> list[Text]:
    price, agreement = standing.teacher_price, standing.agreement
    examples = MISSING_VALUE if standing.examples is None else format_count(standing.examples)
    needed = "" if standing.needed is None else f"of {format_count(standing.needed)}"
    even = "" if standing.break_even_calls is None else f"in {format_count(standing.break_even_calls)}"
    return [
        Text(standing.task).append(f"\n{standing.phase}", style=_STYLES[standing.phase]),
        _cell(examples, needed),
        _cell(format_usd(price.usd if price else None), "a call" if price else ""),
        _cell(_format_roi(standing.roi), even),
        _cell(format_percent(agreement.share), f"≥ {format_percent(agreement.lower)}")
        if agreement
        else Text(MISSING_VALUE),
        _cell(format_percent(standing.share, 0), "" if standing.coverage is None else _coverage(standing.coverage)),
        _cell(format_count(standing.today.calls), format_count(standing.today.served)),
        _cell(_format_saved(standing), ""),
    ]


def _cell(figure: str, below: str) -> Text:
    text = Text(figure)
    return text.append(f"\n{below}", style="dim") if below and figure != MISSING_VALUE else text


def _coverage(share: float) -> str:
    return f"of {format_percent(share, 0)}"


def _sentences(standing: TaskStanding) -> list[Text]:
    lines = [Text("waits for ", style="dim").append(standing.waits_for, style="default")]
    lines += [Text(str(decision), style="yellow") for decision in standing.steered]
    if standing.not_loaded:
        lines.append(Text(f"cannot be loaded: {standing.student}: {standing.not_loaded}", style="bold red"))
    if standing.judge_failure:
        lines.append(Text(f"no verdicts: {standing.judge_failure}", style="bold red"))
    if standing.teacher_price is not None and standing.teacher_price.source.startswith("assumed"):
        lines.append(Text(f"the price of its teacher is {standing.teacher_price.source}", style="yellow"))
    if standing.last_decision is not None:
        lines.append(Text("last ", style="dim").append(_format_decision(standing.last_decision), style="default"))
    return lines


def _details(standing: TaskStanding) -> Iterator[Text]:
    if standing.student is not None:
        yield Text(f"student {standing.student}, {standing.stage}")
    if standing.agreement is not None:
        share = format_percent(standing.agreement.share)
        yield Text(
            f"agreement {share} of {standing.agreement.compared}: {standing.agreement.basis}; "
            f"at least {format_percent(standing.agreement.lower)} with 95% certainty, "
            f"{format_percent(standing.promised, 0)} is promised"
        )
    if standing.teacher_price is not None:
        yield Text(f"price of the teacher: {standing.teacher_price.source}")
    if standing.weekly_calls is not None:
        yield Text(f"forecast: {format_quantity(standing.weekly_calls, 'call')} a week")
    yield Text(f"today {_format_calls(standing.today)}; to date {_format_calls(standing.to_date)}")
    yield Text(f"spent to date {format_usd(standing.spent_usd)}, saved {format_usd(standing.saved_usd)}")


def _format_calls(counts: CallCounts) -> str:
    return f"{format_quantity(counts.calls, 'call')}, {format_percent(counts.served_share)} served by students"


def _format_saved(standing: TaskStanding) -> str:
    return format_usd(standing.saved_usd) if standing.student is not None else MISSING_VALUE


def _format_roi(roi: float | None) -> str:
    return MISSING_VALUE if roi is None else f"{min(roi, 99.99) * 100:+,.0f}%"


def _format_decision(decision: LastDecision) -> str:
    return f"{_format_moment(decision.at)} {decision.what} {decision.student}: {decision.reason}"


def _format_moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _footer(overview: Overview) -> str:
    saved = sum((task.saved_usd or Decimal(0) for task in overview.tasks if task.student), Decimal(0))
    today = CallCounts(
        calls=sum(task.today.calls for task in overview.tasks), served=sum(task.today.served for task in overview.tasks)
    )
    return (
        f"{_format_moment(overview.at)}, {overview.source}\n"
        f"today {_format_calls(today)}; saved to date {format_usd(saved)}\n"
        "Examples: so far, of those needed. ROI: on the next student, and its break-even in calls. ≥: lower bound at "
        "95%. Share: of eligible calls, of the share of calls proven. Today (UTC): calls, served by students."
    )
