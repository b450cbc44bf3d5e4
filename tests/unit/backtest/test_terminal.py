"""The table and the progress in a terminal."""

import io
from decimal import Decimal

from rich.console import Console
from tests.support.sample_report import build_sample_report

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.report.table import render_summary_table


def console(*, terminal: bool, width: int = 80) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=width, color_system=None), out


def test_the_table_has_a_row_for_every_task_and_fits_eighty_columns() -> None:
    report = build_sample_report(names=("ticket-triage", "[bold]odd[/bold]"))
    there, out = console(terminal=False)
    there.print(render_summary_table(report))
    text = out.getvalue()
    assert "…" not in text
    assert "by label" in text
    assert all(
        word in text for word in ("ticket-triage", "[bold]odd[/b", "marketing-copy", "All calls", "not worth it")
    )
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    there, out = console(terminal=False)
    there.print(render_summary_table(build_sample_report(names=("x" * 200,))))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("x" in line for line in lines) <= 4
    assert any(line.rstrip().endswith("x…") for line in lines)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_outside_a_terminal_a_line_is_written_every_few_seconds_and_at_the_end() -> None:
    there, out = console(terminal=False)
    clock = Clock()
    with ProgressDisplay(there, seconds_between_lines=5.0, monotonic=clock) as progress:
        for step in range(1, 11):
            clock.now += 1.0
            progress.update("triage[x]", "serving", 0.985, 0.962, 0.4, Decimal("1.5"), step / 10)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == "50% played, $1.50 saved; triage[x]: serving, 98.5% ≥ 96.2% agreement, 40% served"
    assert lines[1].startswith("100% played")


def test_the_end_is_told_where_no_line_was_due() -> None:
    there, out = console(terminal=False)
    with ProgressDisplay(there, monotonic=Clock()) as progress:
        progress.update("a", "recording", None, None, 0.0, Decimal(0), 0.3)
        progress.update("b", "trial", 0.9, None, 0.0, Decimal(0), 1.7)
    assert out.getvalue() == (
        "100% played, $0.00 saved; a: recording, – agreement, 0% served; b: trial, 90.0% agreement, 0% served\n"
    )


def test_in_a_terminal_the_picture_shows_every_task() -> None:
    there, out = console(terminal=True, width=100)
    with ProgressDisplay(there, monotonic=Clock()) as progress:
        progress.update("triage", "serving", 0.985, 0.962, 0.4, Decimal("1.5"), 0.25)
        progress.update("copy", "kept with the teacher", None, None, 0.0, Decimal("-0.5"), 0.5)
    text = out.getvalue()
    assert all(
        word in text for word in ("triage", "98.5% ≥ 96.2%", "kept with the teacher", "−$0.50", "50% played, $1.00")
    )
