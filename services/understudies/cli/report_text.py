"""Print the report of a backtest in the terminal, and write its files."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from understudies.runtime.rules.rules import Rules

if TYPE_CHECKING:
    from understudies.backtest.report.report import BacktestReport, LogSummary

_MAX_REASONS = 10
"""The most reasons of skipped lines that the terminal lists; the report has all."""


def print_report(
    console: Console, report: "BacktestReport", rules: Rules, json_path: Path | None, html_path: Path | None
) -> None:
    """Print what was found, the doubtful first, and write the report as JSON and HTML where that is asked for."""
    # Imported here so that `--help` responds at once.
    from understudies.backtest.report.html_report import render_html
    from understudies.backtest.report.table import describe_projection, render_summary_table

    if report.input.assumption:
        _print(console, report.input.assumption, "yellow")
    console.print(render_summary_table(report))
    for line in (report.recommendation, describe_projection(report)):
        if line:
            _print(console, line)
    for task in report.tasks.values():
        if task.promise is not None:
            _print(console, f"Promised: {'; '.join(task.promise.sentences())}.")
        if task.shortfall is not None:
            _print(console, task.shortfall)
    for warning in report.input.warnings:
        _print(console, f"Warning: {warning}")
    _print_skipped(console, report.input)
    for name in sorted(name for name, rule in rules.tasks.items() if rule.critical and name not in report.tasks):
        _print(console, f"no recorded call belongs to the critical task {name!r}")
    for path, content in ((json_path, report.to_json), (html_path, lambda: render_html(report).encode())):
        if path is not None:
            path.write_bytes(content())
            _print(console, f"wrote {path}")


def _print_skipped(console: Console, source: "LogSummary") -> None:
    from understudies.backtest.report.formatting import format_quantity
    from understudies.backtest.skip_summary import count_reasons

    if source.skipped:
        count, first = len(source.skipped), source.skipped[0]
        lines = f"{format_quantity(count, 'line')} {'was' if count == 1 else 'were'} skipped"
        console.print(f"{lines}; {first.place}: {first.reason}", markup=False)
        reasons = count_reasons(source.skipped)
        for reason in reasons[:_MAX_REASONS] if len(reasons) > 1 else ():
            console.print(f"  {reason.count:,}: {reason.first.reason} ({reason.first.place})", markup=False)
    if 0 < (undated := source.undated) < source.calls:
        calls_text = f"{format_quantity(undated, 'call')} {'has' if undated == 1 else 'have'} no plausible time"
        subject = "it" if undated == 1 else "each"
        console.print(f"{calls_text}; {subject} was replayed with the call before it", markup=False)


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, markup=False, highlight=False, style=style)
