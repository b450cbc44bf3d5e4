"""Enforce deadlines that hardly ever pass with one timer for many: setting and dropping one costs next to nothing."""

import asyncio
import math
from types import TracebackType
from typing import Final, Protocol, Self

_RESOLUTION_S: Final = 0.02


class DeadlineListener(Protocol):
    """Who has a deadline."""

    def on_deadline(self) -> None:
        """Is called once the deadline has passed, which is then dropped."""
        ...


class DeadlineTimer:
    """One timer of an event loop for several deadlines.

    A deadline that is put off or dropped leaves the timer as it is: when it goes off, it is set again for what is
    left. To set one of the loop's timers for each call and take it back would cost more than all this. Each time all
    deadlines are looked through, which is not done more often than every fiftieth of a second: one may pass so much
    later, and never sooner.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines: dict[DeadlineListener, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def set(self, listener: DeadlineListener, seconds: float) -> None:
        """Give somebody so many seconds from now on, whatever deadline it had."""
        self._deadlines[listener] = deadline = self._loop.time() + seconds
        if deadline < self._due:
            self._schedule(deadline)

    def cancel(self, listener: DeadlineListener) -> None:
        """Forget somebody's deadline, if it has one."""
        self._deadlines.pop(listener, None)

    def close(self) -> None:
        """Forget all deadlines, and those to come."""
        self._deadlines.clear()
        self._stop()
        self._due = -math.inf

    def _schedule(self, deadline: float) -> None:
        self._stop()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._fire)

    def _stop(self) -> None:
        self._due = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._stop()
        now = self._loop.time()
        for late in [late for late, deadline in self._deadlines.items() if deadline <= now]:
            self.cancel(late)
            late.on_deadline()
        if (soonest := min(self._deadlines.values(), default=math.inf)) < self._due:
            self._schedule(max(soonest, now + _RESOLUTION_S))


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
