"""Bounds of what may take long and seldom does: one timer for many."""

import asyncio
import math
from types import TracebackType
from typing import Final, Self

_APART_S: Final = 0.02
"""Each time all deadlines are looked through: not more often than so."""


class Deadlines:
    """Blocks that are to end in time, as with `asyncio.timeout`, which takes a timer for each and most of its cost.

    The timer is set for the earliest deadline and left where it is when that block ends in time.
    """

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf

    def within(self, seconds: float) -> "Deadline":
        """Bounds a block of this task's that is entered now; a fiftieth of a second may be added."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._next = loop, math.inf
        return Deadline(self, loop, loop.time() + seconds)

    def add(self, deadline: "Deadline") -> None:
        """Watch a block from now on, or from a new time on."""
        self._open.add(deadline)
        if deadline.at < self._next:
            self._wake(deadline.loop, deadline.at)

    def discard(self, deadline: "Deadline") -> None:
        """Watch a block no longer."""
        self._open.discard(deadline)

    def _wake(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        self._timer = loop.call_at(at, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for deadline in [deadline for deadline in self._open if deadline.at <= now]:
            self._open.discard(deadline)
            deadline.expire()
        self._next, self._timer = math.inf, None
        if self._open:
            self._wake(loop, max(now + _APART_S, min(deadline.at for deadline in self._open)))


class Deadline:
    """Cancels the work of a block at its time, by the loop's clock, and raises TimeoutError from it."""

    __slots__ = ("_deadlines", "_late", "_work", "at", "loop")

    def __init__(self, deadlines: Deadlines, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self.at = at
        self.loop = loop
        self._deadlines = deadlines
        self._work = asyncio.current_task(loop)
        self._late = False

    def __enter__(self) -> Self:
        self._deadlines.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.discard(self)
        if not self._late or self._work is None:
            return
        others = self._work.uncancel()
        if not others and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def again(self, seconds: float) -> None:
        """Give the block so long from now on, unless it is late already."""
        self.at = self.loop.time() + seconds
        if not self._late:
            self._deadlines.add(self)

    def expire(self) -> None:
        """The time has come."""
        if self._work is not None:
            self._late = True
            self._work.cancel()
