"""Enforce deadlines that rarely pass with one timer for many: setting and cancelling one costs next to nothing."""

import asyncio
import math
from types import TracebackType
from typing import Final, Protocol, Self

_RESOLUTION_S: Final = 0.02


class DeadlineListener(Protocol):
    """The owner of a deadline."""

    def on_deadline(self) -> None:
        """Called once when the deadline has passed and was removed."""
        ...


class DeadlineTimer:
    """One timer of an event loop for several deadlines.

    Extending or cancelling a deadline leaves the timer as it is: when it fires, it is set again for the time left.
    Setting and cancelling one of the loop's timers for each call would cost more than that. Each firing checks all
    deadlines, at most once every fiftieth of a second: a deadline may pass that much late, and never early.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadlines: dict[DeadlineListener, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def set(self, listener: DeadlineListener, seconds: float) -> None:
        """Set the deadline of a listener to `seconds` from now, replacing an earlier one."""
        self._deadlines[listener] = deadline = self._loop.time() + seconds
        if deadline < self._due:
            self._schedule(deadline)

    def cancel(self, listener: DeadlineListener) -> None:
        """Cancel the deadline of a listener, if it has one."""
        self._deadlines.pop(listener, None)

    def close(self) -> None:
        """Cancel all deadlines, and ignore new ones."""
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
    """Time limits for blocks, like `asyncio.timeout` without its timer for each block, which is most of its cost."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: DeadlineTimer | None = None

    def within(self, seconds: float) -> "Deadline":
        """Limit a block of the current task; it may be cancelled up to a fiftieth of a second late."""
        loop = asyncio.get_running_loop()
        if self._timer is None or loop is not self._loop:
            self._loop, self._timer = loop, DeadlineTimer(loop)
        return Deadline(self._timer, asyncio.current_task(loop), seconds)


class Deadline:
    """Cancel the work of a block when its time is over, and raise TimeoutError from it."""

    __slots__ = ("_late", "_seconds", "_timer", "_work")

    def __init__(self, timer: DeadlineTimer, work: asyncio.Task[object] | None, seconds: float) -> None:
        self._timer = timer
        self._work = work
        self._seconds = seconds
        self._late = False

    def __enter__(self) -> Self:
        self._timer.set(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel(self)
        if not self._late or self._work is None:
            return
        others = self._work.uncancel()
        if not others and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def extend(self, seconds: float) -> None:
        """Extend the time limit to `seconds` from now, unless it has passed."""
        if not self._late:
            self._timer.set(self, seconds)

    def on_deadline(self) -> None:
        """Cancel the block, because its time is over."""
        if self._work is not None:
            self._late = True
            self._work.cancel()
