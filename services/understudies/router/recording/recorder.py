"""The recorder: takes events from the hot path at once, and sees to it that they reach the bus."""

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
"""Share of the time for stopping in which memory is emptied; the rest is for what is on disk."""

_ERROR_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class InProcessRecorder:
    """Events wait in memory for their turn, then go to the bus in batches, or to disk while it is away.

    Nothing that a caller does ever waits or fails here. Each event arrives at least once and with its id, those of
    one task in order; once memory (and the disk's share) is full, the newest are dropped and counted.
    `sink` is the bus, or a function that publishes events.
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
        """What is prepared while the hand is being emptied."""
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
        """How many events are in memory."""
        return len(self._buffer) + len(self._next) + len(self._delivery.batch)

    @property
    def settled(self) -> int:
        """How many of those recorded first have arrived, are on disk, or are lost; `on_settled` tells when it grows."""
        return self._settled

    @property
    def bytes(self) -> int:
        """About how much memory those take that are not encoded yet."""
        return self._buffer.bytes

    @property
    def dropped(self) -> int:
        """How many events are lost."""
        return self.counts.dropped

    @property
    def bus_unavailable(self) -> bool:
        """Whether the bus did not take the last events."""
        return self._delivery.bus_unavailable

    def record(self, pending: Invocation | PendingEvent, size: int = 0) -> None:
        """Take an event, or what will give it, redacted; never waits.

        `size` tells about how many bytes it keeps in memory.
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
        """Begin to deliver in the background, first what another run left, unless delivery is by `flush` alone."""
        if self._auto and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def flush(self) -> None:
        """Deliver what waits in memory, in order; raises what delivering raises, and keeps what was not taken.

        In the background it only waits until nothing is left in memory: it is delivered, or on disk.
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
        """Deliver what waits, within a time-out; False, and a line in the log, where not all was taken."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.flush()
        except Exception as error:  # noqa: BLE001 - what is not taken waits on
            _log.error("%d events were not delivered: %r", len(self), error)
            return False
        return True

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver what waits, within a time-out, put the rest on disk, and end."""
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
            except Exception as error:  # noqa: BLE001 - recording must not end before the router does
                _log.error("recording goes on after %s", type(error).__name__)
                await asyncio.sleep(_ERROR_PAUSE_S)

    async def _deliver_batch(self) -> None:
        """Empty the hand, and meanwhile prepare what comes next: each takes long where there is much."""
        passing = asyncio.get_running_loop().create_task(self._delivery.deliver_batch())
        await self._encoder.encode_batch(self._next, self._batch_size)
        await passing

    def _settle(self) -> None:
        """What stands before the rest of the hand may have arrived or not, so only an empty hand tells."""
        if not self._delivery.batch:
            self._settled = self.counts.recorded - len(self)
            self._on_settled()

    def _take_next(self) -> None:
        self._delivery.batch += self._next
        self._next.clear()

    async def _linger(self) -> None:
        """Wait a moment for more to come: a batch costs the bus little more than one event."""
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
        try:
            await self.spool.close()
        except OSError as error:
            _log.error("the spool was not closed: %s", error)
