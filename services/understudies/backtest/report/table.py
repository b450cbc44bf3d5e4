"""Render the report as a table for the terminal, narrow enough for 80 columns."""

from rich import box
from rich.table import Table
from rich.text import Text

from understudies.backtest.report.figures import FiguresSummary
from understudies.backtest.report.formatting import (
    MISSING_VALUE,
    format_count,
    format_factor,
    format_outcome,
    format_percent,
    format_quantity,
    format_usd,
)
from understudies.backtest.report.report import BacktestReport

_STYLES = {"distilled": "green", "fallback_teacher": "red", "not_worth_it": "yellow", "critical": "yellow"}
_MAX_NAME_CHARACTERS = 48
"""Maximum number of characters of a task's name, which wraps to the width available."""
_FIGURE_COLUMNS = ("Calls", "Served", "Agreement", "Cost", "Saved", "Cheaper")


def render_summary_table(report: BacktestReport) -> Table:
    """Render one row for every task and one for all calls, with qualifiers in grey below the figures."""
    unit = "day" if report.input.days == 1 else "days"
    title = f"Backtest of {format_quantity(report.input.calls, 'call')} over {report.input.days:,.4g} {unit}"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.caption = "late: in the last fifth of the calls; ≥: lower bound at 95%; by: the judge"
    table.add_column("Task", overflow="fold", min_width=14)
    for column in _FIGURE_COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for name, task in report.tasks.items():
        outcome = task.outcome.outcome
        words = Text(format_outcome(outcome), style=_STYLES.get(outcome, "dim"))
        judge = Text(f"\nby {task.judge.name.partition('[')[0]}" if task.judge else "", style="dim")
        table.add_row(
            Text(_shorten(name)).append("\n").append_text(words).append_text(judge), *_figure_cells(task.summary)
        )
    table.add_section()
    table.add_row(Text("All calls"), *_figure_cells(report.overall), style="bold")
    return table


def describe_projection(report: BacktestReport) -> str:
    """Return what is saved in a month and a year at the pace of the end; empty if nothing is served, or too little."""
    projection = report.projection
    if projection is None or not report.overall.totals.served:
        return ""
    return (
        f"At the pace of the last {projection.days:.1f} days: {format_usd(projection.month)} saved a month, "
        f"{format_usd(projection.year)} a year."
    )


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[: _MAX_NAME_CHARACTERS - 1]}…"


def _figure_cells(summary: FiguresSummary) -> list[Text]:
    totals, last = summary.totals, summary.last_fifth
    lower = f"≥ {format_percent(totals.agreement_lower_bound)}" if totals.judged else ""
    return [
        _cell(format_count(totals.calls)),
        _cell(format_percent(totals.served_share), f"late {format_percent(last.served_share)}"),
        _cell(format_percent(totals.agreement_served), lower),
        _cell(format_usd(totals.cost_after), f"of {format_usd(totals.cost_before)}"),
        _cell(format_usd(totals.saved)),
        _cell(format_factor(totals.cost_reduction), f"late {format_factor(last.cost_reduction)}"),
    ]


def _cell(figure: str, below: str = "") -> Text:
    text = Text(figure)
    return text.append(f"\n{below}", style="dim") if below and figure != MISSING_VALUE else text
