"""Rate-limit repeated log messages."""

import time
from collections.abc import Callable


class Throttle:
    """Return True at most once per `seconds`, and at the first call."""

    def __init__(self, seconds: float = 60.0, timer: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._timer = timer
        self._next = float("-inf")

    def __call__(self) -> bool:
        now = self._timer()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
