"""Print the progress of a command as a line now and then."""

import time
from collections.abc import Callable
from typing import Final

from rich.console import Console

_INTERVAL_S: Final = 2.0


class ProgressLines:
    """Prints what it is given, but at most one line in two seconds, and the first one after two."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        self._printed_at = monotonic()

    def show(self, text: str) -> None:
        """Print a line if the last one is old enough."""
        now = self._monotonic()
        if now - self._printed_at >= _INTERVAL_S:
            self._printed_at = now
            self._console.print(text, markup=False, highlight=False)
