"""Stop asking what keeps failing, and probe it with single calls; one breaker for each student or teacher."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from understudies.runtime.rules.teacher import BreakerSettings

BreakerState = Literal["closed", "open", "half_open"]

_BUCKETS: Final = 10


@dataclass(slots=True)
class _Bucket:
    number: int
    calls: int = 0
    failures: int = 0


class CircuitBreaker:
    """Opens at a share of failures among the calls of a sliding window; all times are seconds of one steady clock.

    Ask `acquire` before a call, and hand what it gave to `record` after it. The window is kept in tenths: an outcome
    counts for at least nine tenths of it and never longer than all of it.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._span = self._settings.window_s / _BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self._state: BreakerState = "closed"
        self._permit = 0
        self._next_probe = 0.0
        self.times_opened = 0

    @property
    def state(self) -> BreakerState:
        """As of the last call: an open one becomes half open when it lets a call through."""
        return self._state

    def counts(self, now: float) -> tuple[int, int]:
        """Calls and failures in the window."""
        self._forget(now)
        return sum(bucket.calls for bucket in self._buckets), sum(bucket.failures for bucket in self._buckets)

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be let through; 0 where one is now."""
        return 0.0 if self._state == "closed" else max(0.0, self._next_probe - now)

    def acquire(self, now: float) -> int | None:
        """A ticket for a call, or None where there must be none."""
        if self._state != "closed":
            if now < self._next_probe:
                return None
            # A probe may take minutes to answer: after a while another one is let through.
            self._state = "half_open"
            self._next_probe = now + self._settings.open_s
        return self._permit

    def record(self, permit: int, ok: bool | None, now: float) -> None:
        """Note what became of a call; None where nobody knows, as where the caller hung up.

        The outcome of a call that was let through before the state last changed says nothing and is ignored.
        """
        if permit != self._permit or self._state == "open":
            return
        if self._state == "half_open":
            self._record_probe(ok, now)
        elif ok is not None:
            self._count(ok, now)

    def record_late_failure(self, now: float) -> None:
        """Note that what went well as far as `record` was told, such as a stream that had begun, failed after all."""
        if self._state == "closed":
            self._count(False, now)

    def _record_probe(self, ok: bool | None, now: float) -> None:
        if ok:
            self._state = "closed"
            self._permit += 1
            self._buckets.clear()
        elif ok is None:
            self._next_probe = now
        else:
            self._open(now)

    def _count(self, ok: bool, now: float) -> None:
        number = int(now / self._span)
        if not self._buckets or self._buckets[-1].number < number:
            self._forget(now)
            self._buckets.append(_Bucket(number))
        bucket = self._buckets[-1]
        bucket.calls += 1
        if ok:
            return
        bucket.failures += 1
        calls, failures = self.counts(now)
        if calls >= self._settings.min_calls and failures >= self._settings.failure_share * calls:
            self._open(now)

    def _open(self, now: float) -> None:
        self._state = "open"
        self._permit += 1
        self._next_probe = now + self._settings.open_s
        self._buckets.clear()
        self.times_opened += 1

    def _forget(self, now: float) -> None:
        oldest = int(now / self._span) - _BUCKETS
        while self._buckets and self._buckets[0].number <= oldest:
            self._buckets.popleft()


_MAX_STUDENTS: Final = 1000


class CircuitBreakers:
    """One circuit breaker for each student that was asked."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._breakers: dict[str, CircuitBreaker] = {}

    def acquire(self, student: str) -> int | None:
        """A ticket to ask a student, or None where it must be left alone for now."""
        breaker = self._breakers.get(student)
        if breaker is None:
            if len(self._breakers) >= _MAX_STUDENTS:
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[student] = CircuitBreaker()
        return breaker.acquire(self._timer())

    def record(self, student: str, permit: int, ok: bool | None) -> None:
        """What became of asking; None where nobody knows."""
        breaker = self._breakers.get(student)
        if breaker is not None:
            breaker.record(permit, ok, self._timer())

    def open_students(self) -> list[str]:
        """The students that are left alone now."""
        return sorted(name for name, breaker in self._breakers.items() if breaker.state != "closed")
