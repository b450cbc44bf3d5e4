"""Deliver messages to the bus, or to disk while it is unavailable."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, cast

from understudies.router.recording.base import EventSink, LossReason, RecorderStats
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.errors import Reject
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)

_LAST_ANSWER_S: Final = 0.5
"""Longest wait, when closing, for the bus to answer about messages from the disk."""


class PublishResult(NamedTuple):
    """The messages that the bus did not accept, and the error; empty if it accepted all that it ever will."""

    left: Sequence[BusMessage]
    error: Exception | None = None


def _count_delivered(messages: Sequence[BusMessage], left: Sequence[BusMessage]) -> int:
    """Return how many of the oldest messages are not among those left, which are in the same order."""
    if not left:
        return len(messages)
    return next(place for place, message in enumerate(messages) if message is left[0])


class DeliveryLoop:
    """Deliver messages in order; once some are on disk, all newer ones go there too until those are delivered.

    The bus counts as unavailable if it fails, does not answer within `patience_s`, or `stop_waiting` is called.
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
        """The messages that are neither delivered nor on disk, oldest first."""
        self._written: list[BusMessage] = []
        self._drain: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[PublishResult] | None = None
        self._interrupt: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        self._bus_log_throttle = Throttle()
        self._disk_log_throttle = Throttle()
        self._loss_log_throttle = Throttle()
        self.bus_unavailable = False
        """True if the bus failed last time, or did not answer in time."""

    @property
    def is_behind(self) -> bool:
        """Return whether older messages wait on disk."""
        return self._drain is not None

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def open(self) -> None:
        """Start delivering what an earlier run left on disk."""
        if self._spool is not None:
            try:
                await self._spool.open()
            except OSError as error:
                self._log_disk_error(error)
            if not self._spool.is_empty:
                self._start_catch_up()

    async def deliver_batch(self) -> None:
        """Empty the batch to the bus, or to disk; return early when closing."""
        while self.batch and not self._closing.is_set():
            if not self.is_behind:
                await self._publish_batch()
            if self.batch and await self.spool_batch():
                self._start_catch_up()
            elif self.batch and self._flight is None:
                await self._wait(self._pause_s)

    async def flush(self) -> None:
        """Publish the batch; raise the bus's error, and keep what was not accepted."""
        outcome = await self.publish(tuple(self.batch))
        self.batch[:] = outcome.left
        if outcome.error is not None:
            raise outcome.error

    async def publish(self, messages: Sequence[BusMessage]) -> PublishResult:
        """Publish messages; drop, count and log those that can never be delivered."""
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
        except Exception as error:  # noqa: BLE001 - the events wait, however the bus fails
            return PublishResult(messages, error)
        else:
            self._counts.published += len(messages)
        return PublishResult(())

    async def spool_batch(self) -> bool:
        """Move the batch to disk; drop what finds no room there. Return False if the disk fails."""
        if self._spool is None:
            return False
        try:
            spooled = await self._spool.append(self.batch)
        except OSError as error:
            self._log_disk_error(error)
            return False
        self._counts.spooled += spooled
        self.count_lost("spool_full", len(self.batch) - spooled)
        self._written, self.batch = self.batch[:spooled], []
        return True

    def stop_waiting(self) -> None:
        """Stop waiting for the bus, because memory fills up."""
        if self._interrupt is not None and not self._interrupt.done():
            self._interrupt.set_result(None)

    def count_lost(self, reason: LossReason, count: int = 1) -> None:
        """Count dropped events; log at most once a minute."""
        if count:
            self._counts.lost[reason] += count
            if self._loss_log_throttle():
                _log.error("%d events lost so far, by reason: %s", self._counts.dropped, dict(self._counts.lost))

    async def finish(self, timeout_s: float) -> None:
        """Deliver the messages on disk while the bus is available, within a time-out; then stop."""
        if self._drain is not None and not self.bus_unavailable and timeout_s > 0:
            await asyncio.wait({self._drain}, timeout=timeout_s)
        self._closing.set()
        self.stop_waiting()
        if self._drain is not None:
            # What the bus already took must not stay on disk, or it would come twice.
            await asyncio.wait({self._drain}, timeout=_LAST_ANSWER_S)

    async def abort(self) -> None:
        """Stop waiting for the bus; unconfirmed messages may be delivered twice."""
        flight, self._flight = self._flight, None
        if flight is not None and flight.done():
            self.batch[:] = flight.result().left
        tasks: list[asyncio.Task[Any]] = [task for task in (self._drain, flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drain = None

    async def _publish_batch(self) -> None:
        """Publish the batch and keep what the bus did not accept; without an answer the batch stays in flight."""
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
        """Deliver from disk from now on; messages in flight were written there too, and may still arrive."""
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
        has_more = True
        while has_more and not self._closing.is_set():
            try:
                has_more = await self._next_from_disk(arrived)
            except Exception as error:  # noqa: BLE001 - events on disk must not wait for a restart
                self._log_disk_error(error)
                await self._wait(self._pause_s)
        # No await since the disk was found empty: the next write to disk starts a new task.
        self._drain = None

    async def _next_from_disk(self, arrived: Collection[bytes]) -> bool:
        """Deliver the oldest messages on disk, however long it takes; return False if none is left."""
        spool = cast("AsyncSpool", self._spool)
        messages, corrupt = await spool.read(self._batch_size)
        self.count_lost("spoilt", corrupt)
        left: Sequence[BusMessage] = [message for message in messages if message.value not in arrived]
        while left and not self._closing.is_set():
            waiting = len(left)
            left, error = await self.publish(left)
            self._update_bus_state(error)
            if error is not None:
                if len(left) < waiting:
                    # It takes some at a time, such as a bus in memory that is full: no outage to wait for longer.
                    self._pause_s = self._retry_s[0]
                await self._wait(self._pause_s)
        if messages and not left:
            await spool.acknowledge()
        elif delivered := _count_delivered(messages, left):
            await spool.read(delivered)
            await spool.acknowledge()
        return not spool.is_empty

    async def _publish_one_by_one(self, messages: Sequence[BusMessage]) -> PublishResult:
        """Publish the messages one by one, to find the undeliverable one and go on without it."""
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
        """Record and log whether the bus is available."""
        first, longest = self._retry_s
        if error is None:
            if self.bus_unavailable:
                _log.info("the bus is available again")
            self.bus_unavailable, self._pause_s = False, first
            return
        self._pause_s = min(self._pause_s * 2, longest) if self.bus_unavailable else first
        self.bus_unavailable = True
        if self._bus_log_throttle():
            place = "in memory" if self._spool is None else "on disk"
            _log.warning("the bus is unavailable, events wait %s: %r", place, error)

    def _log_disk_error(self, error: Exception) -> None:
        if self._disk_log_throttle():
            _log.error("the spool cannot be used, events wait in memory: %r", error)

    async def _wait(self, seconds: float) -> None:
        """Wait for a number of seconds, or until closing."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
