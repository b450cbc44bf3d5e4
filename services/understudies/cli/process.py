"""Run a process until it receives a signal to stop."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import typer
from rich.console import Console

from understudies.runtime.errors import UnderstudiesError

T = TypeVar("T")

_INTERRUPTED: Final = 130


def stop_on_signal() -> asyncio.Event:
    """Return an event that SIGTERM and Ctrl-C set.

    A second SIGTERM has no effect, as supervisors may send it to a process and to its parent. A second Ctrl-C ends the
    process at once, as a kill would.
    """
    stopping = asyncio.Event()

    def interrupt() -> None:
        if stopping.is_set():
            print_line("interrupted")
            exit_now(_INTERRUPTED)
        stopping.set()

    for number, handle in ((signal.SIGTERM, stopping.set), (signal.SIGINT, interrupt)):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, handle)
    return stopping


def run_event_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, which saves a tenth of the router's time, or on asyncio's own loop without it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def print_line(text: str) -> None:
    """Print one line for the user who started the process."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def exit_now(code: int = 0) -> None:
    """Exit at once: a training cannot be interrupted, and Python would wait for its thread.

    Use code 0 only after all persistent state has been written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


USAGE_ERROR = 2


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an expected error, whose message names the remedy, as one line, and exit with 2."""
    try:
        yield
    except UnderstudiesError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]understudies:[/] {_escape_markup(str(error))}", highlight=False
        )
        raise typer.Exit(USAGE_ERROR) from error
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        raise typer.Exit(130) from None


def _escape_markup(text: str) -> str:
    return text.replace("[", r"\[")
