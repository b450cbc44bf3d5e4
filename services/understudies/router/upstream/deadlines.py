"""Bounds of what may take long and seldom does: one timer for many."""

import asyncio
from types import TracebackType
from typing import Self

from understudies.router.alarm import DeadlineTimer


class DeadlineFactory:
    """Blocks that are to end in time, as with `asyncio.timeout`, which takes a timer for each and most of its cost."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: DeadlineTimer | None = None

    def within(self, seconds: float) -> "Deadline":
        """Bounds a block of this task's; a fiftieth of a second may be added."""
        loop = asyncio.get_running_loop()
        if self._timer is None or loop is not self._loop:
            self._loop, self._timer = loop, DeadlineTimer(loop)
        return Deadline(self._timer, asyncio.current_task(loop), seconds)


class Deadline:
    """Cancels the work of a block once its time is over, and raises TimeoutError from it."""

    __slots__ = ("_alarm", "_late", "_seconds", "_work")

    def __init__(self, timer: DeadlineTimer, work: asyncio.Task[object] | None, seconds: float) -> None:
        self._alarm = timer
        self._work = work
        self._seconds = seconds
        self._late = False

    def __enter__(self) -> Self:
        self._alarm.set(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel(self)
        if not self._late or self._work is None:
            return
        others = self._work.uncancel()
        if not others and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def extend(self, seconds: float) -> None:
        """Give the block so long from now on, unless it is late already."""
        if not self._late:
            self._alarm.set(self, seconds)

    def on_deadline(self) -> None:
        """The time has come."""
        if self._work is not None:
            self._late = True
            self._work.cancel()
