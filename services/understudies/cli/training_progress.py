"""Print the progress of LoRA trainings in a command that has no log."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

LOGGER: Final = "understudies.trainer.lora"
_INTERVAL_S: Final = 5.0


class _ProgressPrinter(logging.Handler):
    """Handler that prints a record, but at most one in some seconds."""

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._monotonic = monotonic
        self._printed_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        now = self._monotonic()
        if now - self._printed_at >= _INTERVAL_S:
            self._printed_at = now
            self._console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def training_progress(console: Console, monotonic: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Print the progress of the trainings inside the context, above what the console shows live."""
    logger, printer = logging.getLogger(LOGGER), _ProgressPrinter(console, monotonic)
    level = logger.level
    logger.addHandler(printer)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(printer)
        logger.setLevel(level)
