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
"""Returns the redacted event when called later; None if there is nothing to record.

Raises if the event cannot be recorded.
"""

_HIGH_WATER: Final = 0.5
_MIN_SIZE: Final = 1024


class EventBuffer:
    """A FIFO queue bounded by count and size."""

    __slots__ = ("_entries", "_limit", "_max_bytes", "bytes")

    def __init__(self, limit: int, max_bytes: int) -> None:
        self._entries: deque[tuple[Invocation | PendingEvent, int]] = deque()
        self._limit = limit
        self._max_bytes = max_bytes
        self.bytes = 0
        """The sum of the sizes passed to `put`."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_high(self) -> bool:
        """Return whether it is more than half full."""
        return len(self._entries) > self._limit * _HIGH_WATER or self.bytes > self._max_bytes * _HIGH_WATER

    def put(self, pending: Invocation | PendingEvent, size: int) -> bool:
        """Append an event; return False if there is no room."""
        size = max(size, _MIN_SIZE)
        if len(self._entries) >= self._limit or (self._entries and self.bytes + size > self._max_bytes):
            return False
        self._entries.append((pending, size))
        self.bytes += size
        return True

    def take(self) -> tuple[Invocation | PendingEvent, int]:
        """Remove and return the oldest event with its size; raises IndexError if there is none."""
        entry = self._entries.popleft()
        self.bytes -= entry[1]
        return entry


_BATCH_BYTES: Final = 4 * 1024 * 1024
_THREAD_ABOVE_BYTES: Final = 128 * 1024
"""Size from which a call is redacted in a thread, because it would block the other work of the process too long."""

_log = logging.getLogger(__name__)


class BatchEncoder:
    """Encode the buffer in time slices, and let the calls in progress run between them.

    A slice takes at most `slice_s` seconds, or half the time that the calls had since the last one: so encoding keeps
    up under any load and hardly slows down calls at low load.
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
        """Append the messages of the oldest events to `batch`, up to `limit` messages or some megabytes."""
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
        """Append the messages without yielding to other tasks."""
        while self._buffer and len(batch) < limit:
            message = self.encode(self._buffer.take()[0])
            if message is not None:
                batch.append(message)

    def encode(self, pending: Invocation | PendingEvent) -> BusMessage | None:
        """Encode an event; None if there is none, or if it cannot be recorded."""
        try:
            event = pending if isinstance(pending, Invocation) else pending()
            return None if event is None else self._sink.to_message(event)
        except Exception as error:  # noqa: BLE001 - custom redactors may raise anything; the other events go on
            self._counts.unrecordable += 1
            if self._log_throttle():
                # Log only the type: the message of the error may contain content of the call.
                _log.error(
                    "%d calls could not be recorded so far, the last one because of %s",
                    self._counts.unrecordable,
                    type(error).__name__,
                )
            return None
