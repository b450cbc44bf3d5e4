"""Buffer events that are not encoded yet; redact and encode them into messages, a few at a time."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from understudies.events import Invocation
from understudies.router.recording.base import EventSink, RecorderStats
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.throttle import Throttle

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


_BATCH_BYTES: Final = 4 * 1024 * 1024
_THREAD_ABOVE_BYTES: Final = 128 * 1024
"""From this size on a call is redacted in a thread: it takes longer than others of the process should wait."""

_log = logging.getLogger(__name__)


class BatchEncoder:
    """Empties the buffer in slices, between which the calls in progress have their turn.

    A slice takes `slice_s` seconds at most, or half as long as the calls had since the last one: so the work keeps up
    with them under any load, and is hardly felt where there is little.
    """

    def __init__(
        self,
        buffer: EventBuffer,
        sink: EventSink,
        counts: RecorderStats,
        *,
        slice_s: float,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._buffer = buffer
        self._sink = sink
        self._counts = counts
        self._slice_s = slice_s
        self._timer = timer
        self._log_throttle = Throttle()

    async def encode_batch(self, batch: list[BusMessage], limit: int) -> None:
        """Put the messages of the oldest events into the hand, up to so many or some megabytes."""
        room = _BATCH_BYTES
        until = self._timer() + self._slice_s
        while self._buffer and len(batch) < limit and room > 0:
            pending, size = self._buffer.take()
            message = (
                self.encode(pending) if size < _THREAD_ABOVE_BYTES else await asyncio.to_thread(self.encode, pending)
            )
            if message is not None:
                batch.append(message)
                room -= len(message.value)
            now = self._timer()
            if now >= until:
                await asyncio.sleep(0)
                after = self._timer()
                until = after + max(self._slice_s, (after - now) / 2)

    def encode_all(self, batch: list[BusMessage], limit: int) -> None:
        """The same at once."""
        while self._buffer and len(batch) < limit:
            message = self.encode(self._buffer.take()[0])
            if message is not None:
                batch.append(message)

    def encode(self, pending: Invocation | PendingEvent) -> BusMessage | None:
        """The message of an event; None where there is none, or where it cannot be recorded."""
        try:
            event = pending if isinstance(pending, Invocation) else pending()
            return None if event is None else self._sink.to_message(event)
        except Exception as error:  # noqa: BLE001 - the redactor may be anyone's; the other events go on
            self._counts.unrecordable += 1
            if self._log_throttle():
                # The error's own words may hold words of the call.
                _log.error(
                    "%d calls could not be recorded so far, the last one for %s",
                    self._counts.unrecordable,
                    type(error).__name__,
                )
            return None
