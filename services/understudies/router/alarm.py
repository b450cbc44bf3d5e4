"""Deadlines that hardly ever pass: to set and to drop one costs next to nothing."""

import asyncio
import math
from typing import Final, Protocol

_APART_S: Final = 0.02


class Late(Protocol):
    """Who has a deadline."""

    def time_is_over(self) -> None:
        """Is called once the deadline has passed, which is then dropped."""
        ...


class Alarm:
    """One timer of an event loop for several deadlines.

    A deadline that is put off or dropped leaves the timer as it is: when it goes off, it is set again for what is
    left. To set one of the loop's timers for each call and take it back would cost more than all this. Each time all
    deadlines are looked through, which is not done more often than every fiftieth of a second: one may pass so much
    later, and never sooner.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines: dict[Late, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def set(self, late: Late, seconds: float) -> None:
        """Give somebody so many seconds from now on, whatever deadline it had."""
        self._deadlines[late] = deadline = self._loop.time() + seconds
        if deadline < self._due:
            self._look_at(deadline)

    def drop(self, late: Late) -> None:
        """Forget somebody's deadline, if it has one."""
        self._deadlines.pop(late, None)

    def close(self) -> None:
        """Forget all deadlines, and those to come."""
        self._deadlines.clear()
        self._stop()
        self._due = -math.inf

    def _look_at(self, deadline: float) -> None:
        self._stop()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _stop(self) -> None:
        self._due = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._stop()
        now = self._loop.time()
        for late in [late for late, deadline in self._deadlines.items() if deadline <= now]:
            self.drop(late)
            late.time_is_over()
        if (soonest := min(self._deadlines.values(), default=math.inf)) < self._due:
            self._look_at(max(soonest, now + _APART_S))
