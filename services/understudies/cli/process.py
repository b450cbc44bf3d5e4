"""A process that runs until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from rich.console import Console

T = TypeVar("T")


def stopping_by_signal() -> asyncio.Event:
    """Set by SIGTERM and by Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop, which takes a tenth less of the router's time; on asyncio's own loop without it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


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
