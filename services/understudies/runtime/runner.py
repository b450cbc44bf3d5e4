"""Runs one service: feeds it events, ticks it, keeps snapshots of its state."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from itertools import chain, repeat
from typing import Any, Final

from understudies.events import Event, encode, topic_of
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import Offsets, Record
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater, UnderstudiesError
from understudies.runtime.service import (
    Checkpoint,
    Draining,
    PeriodClosing,
    Replaying,
    ReplaySource,
    RunsWithoutBus,
    Service,
    Stateful,
)
from understudies.runtime.snapshots import SnapshotStore, SnapshotWriter, encode_snapshot
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)

_JOIN_RETRY_S: Final = 2.0
_GOAL_TIMEOUT_S: Final = 600.0
_END_OFFSETS_TIMEOUT_S: Final = 30.0
"""How long a tick looks where the topics end; a backlog that takes longer is looked through again at the next."""
_PATIENCE_S: Final = 3.0
"""How long the end waits for a service in the middle of its work, such as a training; the next start repeats it."""


class Runner:
    """One service on its bus. Events and ticks never overlap, so a service is a single thread of thought."""

    def __init__(
        self,
        service: Service,
        bus: Bus,
        *,
        snapshots: SnapshotStore | None = None,
        generation: str = "",
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self._bus = bus
        self._snapshots = snapshots if isinstance(service, Stateful) else None
        self._snapshot_writer = SnapshotWriter(self._snapshots, service.name, timer) if self._snapshots else None
        self._generation = generation
        self._offsets: dict[tuple[str, int], int] = {}
        self._committed: Offsets = {}
        self._goal: Offsets | None = None
        self._goal_at = 0.0
        self._timer = timer
        self._since: datetime | None = None
        self._has_unsaved_changes = False
        self._log_throttle = Throttle()
        self._lock = asyncio.Lock()
        self._handled = asyncio.Event()
        self._started = False
        self._join_task: asyncio.Task[None] | None = None

    async def start(self, replay_source: ReplaySource | None = None) -> None:
        """Restore the last snapshot, then start the service and its consumer from where the snapshot ends.

        On a broker that has forgotten what came after the snapshot, `replay_source` tells it, before anything new.
        Without a snapshot the offsets that a group has committed are no good for what is kept for ever: those topics
        are read from their beginning. What a service folds from the others, such as the ledger of the budget, starts
        anew.

        Raises RetryLater while the broker is away, unless the service RunsWithoutBus: that one starts, and joins its
        bus in the background, as often as it takes.
        """
        snapshot = self._snapshots.load(self.service.name) if self._snapshots else None
        if snapshot is not None and isinstance(self.service, Stateful):
            await self.service.restore(snapshot.state)
            self._since = snapshot.since
            if snapshot.generation == self._generation:
                self._offsets = dict(snapshot.offsets)
        begin = self._initial_offsets() if snapshot is None else self._offsets
        self._bus.consume(self.service.topics, self._handle, max_records=self.service.max_records, start=begin or None)
        if isinstance(self.service, RunsWithoutBus):
            self.service.mark_stale()
        async with self._lock:
            await self.service.start()
            if not isinstance(self.service, RunsWithoutBus):
                await self._bus.start()
            if replay_source is not None and isinstance(self.service, Stateful):
                await self._replay(replay_source(self._since, self.service.topics))
        if isinstance(self.service, RunsWithoutBus):
            await self._start_join(self.service)
        self._started = True

    async def _start_join(self, service: RunsWithoutBus) -> None:
        """Join the bus, and wait a moment until all is handled; what takes longer goes on in the background."""
        self._join_task = asyncio.get_running_loop().create_task(self._join(service))
        await asyncio.wait({self._join_task}, timeout=_PATIENCE_S)
        if self._join_task.done():
            self._join_task.result()

    async def _join(self, service: RunsWithoutBus) -> None:
        pauses = chain((0.1, 0.2, 0.5, 1.0), repeat(_JOIN_RETRY_S))
        joined = caught_up = False
        while not caught_up:
            try:
                if not joined:
                    await self._bus.start()
                    joined = True
                await self._wait_handled(await self._bus.fetch_end_offsets(self._offsets))
                caught_up = True
            except Exception as error:
                # What a running service is told too late to refuse, it can only say.
                if not (isinstance(error, RetryLater) or self._started):
                    raise
                if self._log_throttle():
                    why = error if isinstance(error, UnderstudiesError) else repr(error)
                    _log.warning("%s goes on without its bus, and tries again: %s", self.service.name, why)
                await asyncio.sleep(next(pauses))
        service.mark_caught_up()
        _log.debug("%s has handled all that the topics held", self.service.name)

    def _initial_offsets(self) -> Offsets:
        if not isinstance(self.service, Stateful):
            return {}
        kept = [topic for topic in self.service.topics if topic.cleanup == "compact"]
        topics = self.service.replay_topics if isinstance(self.service, Replaying) else kept
        return {(topic.name, partition): 0 for topic in topics for partition in range(topic.partitions)}

    async def _replay(self, batches: AsyncIterator[Sequence[Event]]) -> None:
        count = 0
        async for events in batches:
            await self.service.handle([Record(topic_of(event).name, 0, -1, None, encode(event)) for event in events])
            count += len(events)
            self._has_unsaved_changes = True
        if count:
            _log.info(
                "%s looked again at the last %d events that were stored before this start", self.service.name, count
            )

    async def _handle(self, records: Sequence[Record]) -> None:
        async with self._lock:
            self._has_unsaved_changes = True
            await self.service.handle(records)
            for record in records:
                self._offsets[record.topic, record.partition] = record.offset + 1
        self._handled.set()

    async def tick(self, now: datetime, store_checkpoint: Checkpoint | None = None) -> None:
        """Let the service decide what needs a span of time, and keep its state, a large one at some of the ticks.

        `store_checkpoint` is what was in the store at a moment: where the state has all of it, the snapshot says so.
        While the snapshot is written, the service goes on.
        """
        reckoning = self.service if isinstance(self.service, PeriodClosing) and not self._bus.is_tracked else None
        if reckoning is not None and self._goal is None and reckoning.is_period_due(now):
            await self._set_goal()
        async with self._lock:
            if reckoning is not None:
                reckoning.is_behind = reckoning.is_period_due(now) and not self._reached_goal()
            await self.service.tick(now)
            if store_checkpoint is not None and self._has_handled(store_checkpoint.offsets):
                self._since = store_checkpoint.at
            if self._snapshot_writer is not None and self._snapshot_writer.is_due:
                self._start_snapshot()
        await self._wait_snapshot()

    async def _set_goal(self) -> None:
        """Note what the topics hold now; a long backlog takes a while to look through, and is handled meanwhile."""
        try:
            async with asyncio.timeout(_END_OFFSETS_TIMEOUT_S):
                self._committed = await self._bus.fetch_committed_offsets()
                self._goal = await self._bus.fetch_end_offsets({**self._committed, **self._offsets})
                self._goal_at = self._timer()
        except (TimeoutError, RetryLater):
            self._goal = None

    def _reached_goal(self) -> bool:
        """Whether all that was noted is handled; who reads no partition has not joined yet, and does not know.

        After a while it is noted anew: another process of the group may have a partition by then.
        """
        reached = bool(self._goal) and self._has_handled(self._goal or {})
        if reached or not self._goal or self._timer() - self._goal_at > _GOAL_TIMEOUT_S:
            self._goal = None
        return reached

    def _has_handled(self, offsets: Offsets) -> bool:
        mine = {topic.name for topic in self.service.topics}
        done = {**self._committed, **self._offsets}
        return all(done.get(where, 0) >= end for where, end in offsets.items() if where[0] in mine)

    async def checkpoint(self, clock: Clock) -> Checkpoint:
        """What is handled, at a moment between two batches."""
        async with self._lock:
            return Checkpoint(clock.now(), dict(self._offsets))

    async def wait_stopped(self) -> None:
        """Wait until the service was stopped; raises what it failed with."""
        await self._bus.wait_stopped()

    async def wait_caught_up(self, seconds: float = 5.0) -> None:
        """Wait until all that the topics hold now is handled; gives up where that takes longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._wait_handled(await self._bus.fetch_end_offsets(self._offsets))
        except (TimeoutError, RetryLater) as error:
            _log.warning("%s ends before it has handled everything: %r", self.service.name, error)

    async def _wait_handled(self, ends: Offsets) -> None:
        while not self._has_handled(ends):
            self._handled.clear()
            await self._handled.wait()

    async def stop(self) -> bool:
        """Let the service finish what it has begun while its bus is still there, then end both.

        False where it was in the middle of something long: that is abandoned, and the last tick's snapshot holds.
        """
        if isinstance(self.service, Draining):
            await self.service.drain()
        if self._join_task is not None:
            self._join_task.cancel()
            await asyncio.gather(self._join_task, return_exceptions=True)
        try:
            await asyncio.wait_for(self._lock.acquire(), _PATIENCE_S)
        except TimeoutError:
            _log.info("%s ends in the middle of its work, which it begins again at the next start", self.service.name)
            await asyncio.wait({asyncio.ensure_future(self._bus.stop())}, timeout=_PATIENCE_S)
            await self._wait_snapshot()
            return False
        try:
            await self.service.stop()
        finally:
            self._lock.release()
        await self._bus.stop()
        await self._wait_snapshot()
        self._has_unsaved_changes = True
        self._start_snapshot()
        await self._wait_snapshot()
        return True

    def _start_snapshot(self) -> None:
        """Begin to keep the state as it is now, between two batches, with the offsets up to which it holds."""
        app = self.service
        if self._snapshot_writer is not None and self._has_unsaved_changes and isinstance(app, Stateful):
            self._snapshot_writer.start_write(
                lambda: encode_snapshot(app.state(), self._offsets, self._generation, self._since)
            )
            self._has_unsaved_changes = False

    async def _wait_snapshot(self) -> None:
        if self._snapshot_writer is not None and not await self._snapshot_writer.wait_written():
            self._has_unsaved_changes = True


async def keep_ticking(
    tick: Callable[[datetime], Awaitable[None]],
    wait_failed: Callable[[], Awaitable[None]],
    clock: Clock,
    stopping: asyncio.Event,
    seconds: float,
) -> None:
    """Tick every `seconds` until told to stop; raises what a service failed with, so that the process ends.

    A tick that has to be tried later, such as while the broker is away, is left to the next.
    """
    complain = Throttle()
    ends = asyncio.ensure_future(wait_failed())
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        while not stopped.done():
            try:
                await _wait_tick(asyncio.ensure_future(tick(clock.now())), {ends, stopped})
            except RetryLater as error:
                if complain():
                    _log.warning("a tick is tried again: %s", error)
            await asyncio.wait({ends, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ends.done():
                ends.result()
                return
    finally:
        ends.cancel()
        stopped.cancel()


async def _wait_tick(tick: "asyncio.Future[None]", over: "set[asyncio.Future[Any]]") -> None:
    """Wait for a tick; at the end only for a moment, as it may wait for a service that works for hours."""
    try:
        await asyncio.wait({tick, *over}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({tick}, timeout=_PATIENCE_S)
        if tick.done():
            tick.result()
    finally:
        tick.cancel()
