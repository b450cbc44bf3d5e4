"""Hourly call counts, for the volume forecast."""

from collections import deque
from datetime import UTC, datetime

from understudies.persistence.saved_state import SavedState

MAX_HOURS = 24 * 7 * 8


class CallVolume(SavedState):
    """Hourly counts of the last eight weeks, oldest first, including hours without calls.

    A call whose clock is weeks ahead of the time at which the counts were last asked for is left out: it would discard
    what was counted before, and leave out the calls that come after it until that time.
    """

    _start: int | None
    _counts: deque[int]

    def __init__(self) -> None:
        self._start = None
        self._counts = deque()
        self._on_restored()

    def _on_restored(self) -> None:
        self._asked_at: int | None = None
        """The hour at which the counts were last asked for."""

    def record(self, at: datetime) -> None:
        """Count one call; ignore one from before the oldest retained hour, or from far ahead."""
        hour = int(at.timestamp() // 3600)
        if self._asked_at is not None and hour > self._asked_at + MAX_HOURS:
            return
        if self._start is None:
            self._start = hour
        if hour < self._start:
            return
        self._extend_to(hour)
        self._counts[hour - self._start] += 1

    def _extend_to(self, hour: int) -> None:
        assert self._start is not None
        missing = hour - self._start - len(self._counts) + 1
        if missing > MAX_HOURS:
            self._counts.clear()
            self._start, missing = hour, 1
        self._counts.extend([0] * max(0, missing))
        while len(self._counts) > MAX_HOURS:
            self._counts.popleft()
            self._start += 1

    def hourly_counts(self, now: datetime) -> list[int]:
        """Return the counts of the complete hours before `now`; forget counts that only begin weeks later."""
        self._asked_at = int(now.timestamp() // 3600)
        if self._start is not None and self._start > self._asked_at + MAX_HOURS:
            self._start = None
            self._counts.clear()
        if self._start is None:
            return []
        complete = self._asked_at - self._start
        counts = list(self._counts)
        return (counts + [0] * max(0, complete - len(counts)))[: max(0, complete)][-MAX_HOURS:]

    def all_counts(self) -> list[int]:
        """Return the counts of all hours from the first call to the last."""
        return list(self._counts)

    @property
    def first_hour(self) -> datetime | None:
        """The oldest retained hour; None before the first call."""
        return None if self._start is None else datetime.fromtimestamp(self._start * 3600, UTC)
