"""Which students failed so often lately that they are not asked for a while."""

import time
from collections.abc import Callable
from typing import Final

from understudies.router.upstream.breaker import CircuitBreaker

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
