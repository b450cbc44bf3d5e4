"""Stop calling a student or teacher that keeps failing, and probe it with single calls."""

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
    """Open at a share of failures in a sliding window; all times are seconds of one monotonic clock.

    Call `acquire` before a call, and pass the permit that it returns to `record` afterwards. The window is divided into
    tenths: an outcome counts for at least nine tenths of the window and never longer than all of it.
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
        """The state as of the last call; an open breaker becomes half open when it lets a call through."""
        return self._state

    def counts(self, now: float) -> tuple[int, int]:
        """Return the numbers of calls and failures in the window."""
        self._drop_expired(now)
        return sum(bucket.calls for bucket in self._buckets), sum(bucket.failures for bucket in self._buckets)

    def wait_s(self, now: float) -> float:
        """Return the seconds until a call may be let through; 0 if one may be now."""
        return 0.0 if self._state == "closed" else max(0.0, self._next_probe - now)

    def acquire(self, now: float) -> int | None:
        """Return a permit for a call, or None if the breaker does not let it through."""
        if self._state != "closed":
            if now < self._next_probe:
                return None
            # A probe may take minutes to answer: let another one through after a while.
            self._state = "half_open"
            self._next_probe = now + self._settings.open_s
        return self._permit

    def record(self, permit: int, ok: bool | None, now: float) -> None:
        """Record the outcome of a call; None if it is unknown, for example because the caller disconnected.

        Ignore the outcome of a call that was let through before the last change of state.
        """
        if permit != self._permit or self._state == "open":
            return
        if self._state == "half_open":
            self._record_probe(ok, now)
        elif ok is not None:
            self._count(ok, now)

    def record_late_failure(self, now: float) -> None:
        """Record a failure after a recorded success, such as of a stream that broke off after its start."""
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
            self._drop_expired(now)
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

    def _drop_expired(self, now: float) -> None:
        oldest = int(now / self._span) - _BUCKETS
        while self._buckets and self._buckets[0].number <= oldest:
            self._buckets.popleft()


_MAX_STUDENTS: Final = 1000


class CircuitBreakers:
    """One circuit breaker for each student that was called."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._breakers: dict[str, CircuitBreaker] = {}

    def acquire(self, student: str) -> int | None:
        """Return a permit to call a student, or None while its circuit is open."""
        breaker = self._breakers.get(student)
        if breaker is None:
            if len(self._breakers) >= _MAX_STUDENTS:
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[student] = CircuitBreaker()
        return breaker.acquire(self._timer())

    def record(self, student: str, permit: int, ok: bool | None) -> None:
        """Record the outcome of a call to a student; None if it is unknown."""
        breaker = self._breakers.get(student)
        if breaker is not None:
            breaker.record(permit, ok, self._timer())

    def open_students(self) -> list[str]:
        """Return the students whose circuit is not closed."""
        return sorted(name for name, breaker in self._breakers.items() if breaker.state != "closed")
