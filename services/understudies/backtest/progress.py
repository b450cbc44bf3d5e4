"""Show the progress of a backtest: live in a terminal, a plain line every few seconds elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from understudies.backtest.report.formatting import format_percent, format_usd

TaskPhase = Literal["recording", "trial", "serving", "kept with the teacher"]

_STYLES: dict[TaskPhase, str] = {
    "recording": "dim",
    "trial": "yellow",
    "serving": "green",
    "kept with the teacher": "red",
}
_BAR_WIDTH = 12


@dataclass(frozen=True, slots=True)
class _TaskProgress:
    phase: TaskPhase
    agreement: float | None
    lower: float | None
    served_share: float
    saved: Decimal

    @property
    def agreement_text(self) -> str:
        bound = f" ≥ {format_percent(self.lower)}" if self.lower is not None else ""
        return f"{format_percent(self.agreement)}{bound}"


class ProgressDisplay:
    """Display the progress of each task; use it as a context manager and call `update`."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        seconds_between_lines: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console()
        self._monotonic = monotonic
        self._interval = seconds_between_lines
        self._started_at = self._last_line = monotonic()
        self._last_printed = -1.0
        self._tasks: dict[str, _TaskProgress] = {}
        self._done = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._started_at = self._last_line = self._monotonic()
        if self._console.is_terminal:
            self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=5)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif kind is None and self._last_printed != self._done:
            self._print_line()

    def update(
        self,
        task: str,
        phase: TaskPhase,
        agreement: float | None,
        lower: float | None,
        served_share: float,
        saved: Decimal,
        fraction_done: float,
    ) -> None:
        """Record a task's state, and the share of the whole that has been played, in [0, 1]."""
        self._tasks[task] = _TaskProgress(phase, agreement, lower, served_share, saved)
        self._done = min(max(fraction_done, 0.0), 1.0)
        if self._live is None and self._monotonic() - self._last_line >= self._interval:
            self._print_line()

    def render(self) -> Group:
        """Render the state for a terminal."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("Task", overflow="ellipsis", no_wrap=True, max_width=32)
        table.add_column("Phase")
        table.add_column("Agreement", justify="right")
        table.add_column("Served")
        table.add_column("Saved", justify="right")
        for name, state in self._tasks.items():
            served = Table.grid(padding=(0, 1))
            served.add_row(
                ProgressBar(total=1.0, completed=state.served_share, width=_BAR_WIDTH),
                Text(format_percent(state.served_share, 0)),
            )
            table.add_row(
                Text(name),
                Text(state.phase, style=_STYLES[state.phase]),
                Text(state.agreement_text),
                served,
                Text(format_usd(state.saved)),
            )
        return Group(table, self._render_overall())

    def _render_overall(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        seconds = self._monotonic() - self._started_at
        grid.add_row(
            ProgressBar(total=1.0, completed=self._done, width=40),
            Text(
                f"{format_percent(self._done, 0)} played, {format_usd(self._total_saved())} saved, {seconds:,.0f} s",
                style="bold",
            ),
        )
        return grid

    def _total_saved(self) -> Decimal:
        return sum((state.saved for state in self._tasks.values()), Decimal(0))

    def _print_line(self) -> None:
        self._last_line, self._last_printed = self._monotonic(), self._done
        tasks = "; ".join(
            f"{name}: {state.phase}, {state.agreement_text} agreement, {format_percent(state.served_share, 0)} served"
            for name, state in self._tasks.items()
        )
        line = f"{format_percent(self._done, 0)} played, {format_usd(self._total_saved())} saved"
        self._console.print(
            f"{line}; {tasks}" if tasks else line, markup=False, highlight=False, soft_wrap=True, emoji=False
        )
