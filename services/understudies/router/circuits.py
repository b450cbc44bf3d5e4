"""Which students failed so often lately that they are not asked for a while."""

import time
from collections.abc import Callable
from typing import Final

from understudies.router.upstream.breaker import Breaker

_KEPT: Final = 1000


class Circuits:
    """One circuit breaker for each student that was asked."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._breakers: dict[str, Breaker] = {}

    def enter(self, student: str) -> int | None:
        """A ticket to ask a student, or None where it must be left alone for now."""
        breaker = self._breakers.get(student)
        if breaker is None:
            if len(self._breakers) >= _KEPT:
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[student] = Breaker()
        return breaker.enter(self._timer())

    def leave(self, student: str, ticket: int, ok: bool | None) -> None:
        """What became of asking; None where nobody knows."""
        breaker = self._breakers.get(student)
        if breaker is not None:
            breaker.leave(ticket, ok, self._timer())

    def open(self) -> list[str]:
        """The students that are left alone now."""
        return sorted(name for name, breaker in self._breakers.items() if breaker.state != "closed")
