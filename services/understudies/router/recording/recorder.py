"""Accept events from the hot path without waiting, and deliver them to the bus."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from understudies.events import Invocation
from understudies.router.recording.base import DecodingSink, EventSink, PublishEvents, RecorderStats
from understudies.router.recording.buffer import BatchEncoder, EventBuffer, PendingEvent
from understudies.router.recording.delivery import DeliveryLoop
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.messages import BusMessage

CAPACITY: Final = 10_000
CAPACITY_BYTES: Final = 256 * 1024 * 1024

_MEMORY_DRAIN_SHARE: Final = 0.7
"""Share of the time for stopping that is spent on emptying memory; the rest is for what is on disk."""

_ERROR_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class InProcessRecorder:
    """Buffer events in memory, then deliver them to the bus in batches, or to disk while it is unavailable.

    Nothing that a caller does waits or fails here. Each event is delivered at least once with its id, and the events of
    a task in order; once memory (and the disk's share) is full, the newest are dropped and counted. `sink` is the bus,
    or a function that publishes events.
    """

    def __init__(
        self,
        sink: EventSink | PublishEvents,
        *,
        capacity: int = CAPACITY,
        capacity_bytes: int = CAPACITY_BYTES,
        batch_size: int = 2000,
        auto: bool = True,
        spool: AsyncSpool | None = None,
        linger_s: float = 0.05,
        slice_s: float = 0.001,
        patience_s: float = 2.0,
        retry_s: tuple[float, float] = (0.1, 5.0),
        on_settled: Callable[[], None] = lambda: None,
    ) -> None:
        bus = sink if isinstance(sink, EventSink) else DecodingSink(sink)
        self.counts = RecorderStats()
        self.restarts = 0
        self.spool = spool
        self._buffer = EventBuffer(capacity, capacity_bytes)
        self._capacity = capacity
        self._encoder = BatchEncoder(self._buffer, bus, self.counts, slice_s=slice_s)
        self._delivery = DeliveryLoop(
            bus, self.counts, spool, batch_size=batch_size, patience_s=patience_s, retry_s=retry_s
        )
        self._next: list[BusMessage] = []
        """The messages encoded while the current batch is being delivered."""
        self._settled = 0
        self._on_settled = on_settled
        self._batch_size = batch_size
        self._auto = auto
        self._linger_s = linger_s
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """The number of events in memory."""
        return len(self._buffer) + len(self._next) + len(self._delivery.batch)

    @property
    def settled(self) -> int:
        """The number of events, in order of recording, that have arrived, are on disk or are lost.

        `on_settled` is called when it grows.
        """
        return self._settled

    @property
    def bytes(self) -> int:
        """The approximate memory of the events that are not encoded yet."""
        return self._buffer.bytes

    @property
    def dropped(self) -> int:
        """The number of lost events."""
        return self.counts.dropped

    @property
    def bus_unavailable(self) -> bool:
        """Return whether the bus is unavailable: it did not accept the last events."""
        return self._delivery.bus_unavailable

    def record(self, pending: Invocation | PendingEvent, size: int = 0) -> None:
        """Take an event, or a function that returns the redacted one; never waits.

        `size` is the approximate number of bytes that it keeps in memory.
        """
        self.counts.recorded += 1
        if not self._buffer.put(pending, size):
            self._delivery.count_lost("buffer_full")
            return
        self._idle.clear()
        self._changed.set()
        if self._buffer.is_high:
            self._delivery.stop_waiting()

    async def start(self) -> None:
        """Start delivering in the background, the events of an earlier run first, unless only `flush` delivers."""
        if self._auto and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def flush(self) -> None:
        """Deliver the events in memory, in order; raises delivery errors, and keeps what was not accepted.

        With background delivery, only wait until memory is empty: everything is delivered, or on disk.
        """
        if self._task is not None:
            self._changed.set()
            await self._idle.wait()
            return
        async with self._turn:
            while len(self):
                self._encoder.encode_all(self._delivery.batch, self._batch_size)
                if self._delivery.batch:
                    await self._delivery.flush()

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """Flush within a time-out; return False, and log, if events are left."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.flush()
        except Exception as error:  # noqa: BLE001 - events that were not accepted keep waiting
            _log.error("%d events were not delivered: %r", len(self), error)
            return False
        return True

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver waiting events within a time-out, write the rest to disk, and stop."""
        until = time.monotonic() + timeout_s
        if self._task is None:
            await self.deliver(timeout_s)
        else:
            self._stopping.set()
            self._changed.set()
            await asyncio.wait({self._task}, timeout=timeout_s * _MEMORY_DRAIN_SHARE)
        await self._delivery.finish(until - time.monotonic())
        if self._task is not None:
            await self._task
            self._task = None
        await self._delivery.abort()
        self._take_next()
        await self._spool_rest()
        self._settle()

    async def _run(self) -> None:
        await self._delivery.open()
        while not self._delivery.is_closing:
            if not len(self):
                self._idle.set()
                if self._stopping.is_set():
                    return
                self._changed.clear()
                await self._changed.wait()
            try:
                self._take_next()
                await self._linger()
                await self._encoder.encode_batch(self._delivery.batch, self._batch_size)
                await self._deliver_batch()
                self._settle()
            except Exception as error:  # noqa: BLE001 - recording must not stop before the router does
                _log.error("recording continues after %s", type(error).__name__)
                await asyncio.sleep(_ERROR_PAUSE_S)

    async def _deliver_batch(self) -> None:
        """Deliver the batch while encoding the next one, because each takes long under load."""
        delivering = asyncio.get_running_loop().create_task(self._delivery.deliver_batch())
        await self._encoder.encode_batch(self._next, self._batch_size)
        await delivering

    def _settle(self) -> None:
        """Update `settled`; part of a batch in flight may or may not have arrived, so only an empty batch counts."""
        if not self._delivery.batch:
            self._settled = self.counts.recorded - len(self)
            self._on_settled()

    def _take_next(self) -> None:
        self._delivery.batch += self._next
        self._next.clear()

    async def _linger(self) -> None:
        """Wait briefly for more events: a batch costs the bus little more than a single event."""
        if self._linger_s and len(self._buffer) < self._batch_size:
            try:
                await asyncio.wait_for(self._stopping.wait(), self._linger_s)
            except TimeoutError:
                return

    async def _spool_rest(self) -> None:
        left = len(self)
        if self.spool is None:
            if left and self._auto:
                _log.error("%d events were not delivered", left)
            return
        written = True
        while written and len(self):
            self._encoder.encode_all(self._delivery.batch, self._batch_size)
            written = not self._delivery.batch or await self._delivery.spool_batch()
        if not written:
            _log.error("%d events were neither delivered nor written to disk", len(self))
        if not self.spool.is_empty:
            _log.warning("%d bytes of events wait on disk; the next start delivers them", self.spool.size)
        try:
            await self.spool.close()
        except OSError as error:
            _log.error("the spool was not closed: %s", error)
