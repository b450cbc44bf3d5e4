"""What was taken and is not encoded yet."""

from collections import deque
from collections.abc import Callable
from typing import Final

from understudies.events import Invocation

PendingEvent = Callable[[], Invocation | None]
"""Gives the event, redacted, when there is time for it; None where there is nothing to record.

It raises for what cannot be recorded.
"""

_HIGH_WATER: Final = 0.5
_MIN_SIZE: Final = 1024


class EventBuffer:
    """First in, first out, bounded by number and by size."""

    __slots__ = ("_entries", "_most", "_most_bytes", "bytes")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._entries: deque[tuple[Invocation | PendingEvent, int]] = deque()
        self._most = most
        self._most_bytes = most_bytes
        self.bytes = 0
        """As far as those who put told."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_high(self) -> bool:
        """Whether it is half full."""
        return len(self._entries) > self._most * _HIGH_WATER or self.bytes > self._most_bytes * _HIGH_WATER

    def put(self, pending: Invocation | PendingEvent, size: int) -> bool:
        """Take one more; False where there is no room."""
        size = max(size, _MIN_SIZE)
        if len(self._entries) >= self._most or (self._entries and self.bytes + size > self._most_bytes):
            return False
        self._entries.append((pending, size))
        self.bytes += size
        return True

    def take(self) -> tuple[Invocation | PendingEvent, int]:
        """The oldest, and its size; raises IndexError where there is none."""
        entry = self._entries.popleft()
        self.bytes -= entry[1]
        return entry
