"""The report as a table for the terminal, narrow enough for 80 columns."""

from rich import box
from rich.table import Table
from rich.text import Text

from understudies.backtest.figures import Summary
from understudies.backtest.report import Report
from understudies.backtest.wording import NOTHING, count, factor, money, percent

_STYLES = {"distilled": "green", "fallback_teacher": "red", "not_worth_it": "yellow"}
_LONGEST_NAME = 48
"""Characters of a task's name, which folds into lines of what room there is."""
_FIGURES = ("Calls", "Served", "Agreement", "Cost", "Saved", "Cheaper")


def summary_table(report: Report) -> Table:
    """One row for every task and one for all calls; below each figure, in grey, what qualifies it."""
    title = f"Backtest of {count(report.input.calls)} calls over {report.input.days:,.4g} days"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.caption = "late: in the last fifth of the calls; ≥: lower bound at 95%; by: the judge"
    table.add_column("Task", overflow="fold", min_width=14)
    for column in _FIGURES:
        table.add_column(column, justify="right", no_wrap=True)
    for name, task in report.tasks.items():
        outcome = task.outcome.outcome
        words = Text(outcome.replace("_", " "), style=_STYLES.get(outcome, "dim"))
        judge = Text(f"\nby {task.judge.name.partition('[')[0]}" if task.judge else "", style="dim")
        table.add_row(Text(_short(name)).append("\n").append_text(words).append_text(judge), *_figures(task.summary))
    table.add_section()
    table.add_row(Text("All calls"), *_figures(report.overall), style="bold")
    return table


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _figures(summary: Summary) -> list[Text]:
    totals, last = summary.totals, summary.last_fifth
    lower = f"≥ {percent(totals.agreement_lower_bound)}" if totals.judged else ""
    return [
        _cell(count(totals.calls)),
        _cell(percent(totals.served_share), f"late {percent(last.served_share)}"),
        _cell(percent(totals.agreement_served), lower),
        _cell(money(totals.cost_after), f"of {money(totals.cost_before)}"),
        _cell(money(totals.saved)),
        _cell(factor(totals.cost_reduction), f"late {factor(last.cost_reduction)}"),
    ]


def _cell(figure: str, below: str = "") -> Text:
    text = Text(figure)
    return text.append(f"\n{below}", style="dim") if below and figure != NOTHING else text
