"""A process that runs until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import sys

from rich.console import Console


def stopping_by_signal() -> asyncio.Event:
    """Set by SIGTERM and by Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def say(text: str) -> None:
    """One line for whoever started the process."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def leave() -> None:
    """End at once: a training cannot be interrupted, and Python would wait for its thread.

    Only after all that is kept has been written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
