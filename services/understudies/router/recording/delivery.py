"""From messages to the bus, or to disk while it is away."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

from understudies.router.recording.base import EventSink, LossReason, RecorderStats
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.errors import Reject
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)


class PublishResult(NamedTuple):
    """What the bus has not taken, and why; nothing is left where it took all that it ever will."""

    left: Sequence[BusMessage]
    error: Exception | None = None


class DeliveryLoop:
    """Hands over messages in order; once some are on disk, all newer ones go there too until they are delivered.

    The bus counts as away where it fails, has not answered within `patience_s`, or when told to `stop_waiting`.
    """

    def __init__(
        self,
        sink: EventSink,
        counts: RecorderStats,
        spool: AsyncSpool | None,
        *,
        batch_size: int,
        patience_s: float,
        retry_s: tuple[float, float],
    ) -> None:
        self._sink = sink
        self._counts = counts
        self._spool = spool
        self._batch_size = batch_size
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._pause_s = retry_s[0]
        self.batch: list[BusMessage] = []
        """What is neither delivered nor on disk, oldest first."""
        self._written: list[BusMessage] = []
        self._drain: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[PublishResult] | None = None
        self._interrupt: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        self._bus_log_throttle = Throttle()
        self._disk_log_throttle = Throttle()
        self._loss_log_throttle = Throttle()
        self.bus_unavailable = False
        """Whether the bus failed the last time, or has not answered in time."""

    @property
    def is_behind(self) -> bool:
        """Whether older messages wait on disk."""
        return self._drain is not None

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def open(self) -> None:
        """Begin to deliver what another run left on disk."""
        if self._spool is not None:
            try:
                await self._spool.open()
            except OSError as error:
                self._log_disk_error(error)
            if not self._spool.is_empty:
                self._start_catch_up()

    async def deliver_batch(self) -> None:
        """Empty the hand: to the bus, or to disk. When closing it returns early."""
        while self.batch and not self._closing.is_set():
            if not self.is_behind:
                await self._publish_batch()
            if self.batch and await self.spool_batch():
                self._start_catch_up()
            elif self.batch and self._flight is None:
                await self._wait(self._pause_s)

    async def flush(self) -> None:
        """Empty the hand to the bus; raises what it fails with, and keeps what it has not taken."""
        outcome = await self.publish(tuple(self.batch))
        self.batch[:] = outcome.left
        if outcome.error is not None:
            raise outcome.error

    async def publish(self, messages: Sequence[BusMessage]) -> PublishResult:
        """Publish messages; those that can never be are lost, and said so."""
        try:
            await self._sink.publish_encoded(messages)
        except Undeliverable as error:
            for place in error.rejected:
                self._drop_undeliverable(messages[place], error)
            self._counts.published += len(messages) - len(error.rejected)
        except NotDelivered as error:
            self._counts.published += len(messages) - len(error.missing)
            return PublishResult([messages[place] for place in error.missing], error)
        except (Reject, ValueError) as error:
            if len(messages) > 1:
                return await self._publish_one_by_one(messages)
            self._drop_undeliverable(messages[0], error)
        except Exception as error:  # noqa: BLE001 - whatever befalls the bus, the events wait for it
            return PublishResult(messages, error)
        else:
            self._counts.published += len(messages)
        return PublishResult(())

    async def spool_batch(self) -> bool:
        """Move the hand to disk; what finds no room there is lost. False where the disk does not play along."""
        if self._spool is None:
            return False
        try:
            taken = await self._spool.append(self.batch)
        except OSError as error:
            self._log_disk_error(error)
            return False
        self._counts.spooled += taken
        self.count_lost("spool_full", len(self.batch) - taken)
        self._written, self.batch = self.batch[:taken], []
        return True

    def stop_waiting(self) -> None:
        """Wait for the bus no longer: memory runs full."""
        if self._interrupt is not None and not self._interrupt.done():
            self._interrupt.set_result(None)

    def count_lost(self, reason: LossReason, count: int = 1) -> None:
        """Count what is lost, and say so once a minute."""
        if count:
            self._counts.lost[reason] += count
            if self._loss_log_throttle():
                _log.error("%d events are lost so far, by reason %s", self._counts.dropped, dict(self._counts.lost))

    async def finish(self, timeout_s: float) -> None:
        """Deliver what is on disk for as long as the bus takes it, within a time-out; then begin no more."""
        if self._drain is not None and not self.bus_unavailable and timeout_s > 0:
            await asyncio.wait({self._drain}, timeout=timeout_s)
        self._closing.set()
        self.stop_waiting()

    async def abort(self) -> None:
        """Wait for the bus no longer; what it has not answered about may come twice."""
        flight, self._flight = self._flight, None
        if flight is not None and flight.done():
            self.batch[:] = flight.result().left
        tasks: list[asyncio.Task[Any]] = [task for task in (self._drain, flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drain = None

    async def _publish_batch(self) -> None:
        """Leave in the hand what the bus has not taken; where it has not answered, the whole hand is in flight."""
        loop = asyncio.get_running_loop()
        if self._flight is None:
            self._flight = loop.create_task(self.publish(tuple(self.batch)))
        self._interrupt = loop.create_future()
        both: set[asyncio.Future[Any]] = {self._flight, self._interrupt}
        await asyncio.wait(both, timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
        if self._flight.done():
            outcome, self._flight = self._flight.result(), None
            self.batch[:] = outcome.left
            self._update_bus_state(outcome.error)
        elif not self._interrupt.done():
            self._update_bus_state(TimeoutError(f"no answer in {self._patience_s:g} s"))

    def _start_catch_up(self) -> None:
        """From now on, deliver from disk; what is in flight was written there as well, and may arrive yet."""
        if self._drain is None:
            flight, self._flight = self._flight, None
            written, self._written = self._written, []
            self._drain = asyncio.get_running_loop().create_task(self._catch_up(flight, written))

    async def _catch_up(self, flight: asyncio.Task[PublishResult] | None, written: Sequence[BusMessage]) -> None:
        arrived: set[bytes] = set()
        if flight is not None:
            outcome = await flight
            self._update_bus_state(outcome.error)
            arrived = {message.value for message in written} - {message.value for message in outcome.left}
        going_on = True
        while going_on and not self._closing.is_set():
            try:
                going_on = await self._next_from_disk(arrived)
            except Exception as error:  # noqa: BLE001 - what waits on disk must not wait for a restart
                self._log_disk_error(error)
                await self._wait(self._pause_s)
        # Nothing was awaited since the disk was seen to be empty: what is written from now on begins this anew.
        self._drain = None

    async def _next_from_disk(self, arrived: Collection[bytes]) -> bool:
        """Deliver the oldest messages on disk, for as long as it takes; False where none is left."""
        backlog = cast("AsyncSpool", self._spool)
        messages, spoilt = await backlog.read(self._batch_size)
        self.count_lost("spoilt", spoilt)
        left: Sequence[BusMessage] = [message for message in messages if message.value not in arrived]
        while left and not self._closing.is_set():
            left, error = await self.publish(left)
            self._update_bus_state(error)
            if error is not None:
                await self._wait(self._pause_s)
        if messages and not left:
            await backlog.acknowledge()
        return not backlog.is_empty

    async def _publish_one_by_one(self, messages: Sequence[BusMessage]) -> PublishResult:
        """One of these messages can never be delivered: find it and go on without it."""
        for place, message in enumerate(messages):
            outcome = await self.publish([message])
            if outcome.error is not None:
                return PublishResult(messages[place:], outcome.error)
        return PublishResult(())

    def _drop_undeliverable(self, message: BusMessage, error: Exception) -> None:
        self._counts.lost["refused"] += 1
        headers = dict(message.headers)
        event, task = headers.get("ce_id", b""), message.key or b""
        _log.error("event %s of task %r is lost: %s", event.decode(), task.decode("utf-8", "replace"), error)

    def _update_bus_state(self, error: Exception | None) -> None:
        """Remember, and say, whether the bus is there."""
        first, longest = self._retry_s
        if error is None:
            if self.bus_unavailable:
                _log.info("the bus is back")
            self.bus_unavailable, self._pause_s = False, first
            return
        self._pause_s = min(self._pause_s * 2, longest) if self.bus_unavailable else first
        self.bus_unavailable = True
        if self._bus_log_throttle():
            where = "in memory" if self._spool is None else "on disk"
            _log.warning("the bus is away, events wait %s: %r", where, error)

    def _log_disk_error(self, error: Exception) -> None:
        if self._disk_log_throttle():
            _log.error("the spool cannot be used, events wait in memory: %r", error)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until closing."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
