"""Run one service: feed it events, tick it, save snapshots of its state."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from itertools import chain, repeat
from types import MappingProxyType
from typing import Final

from understudies.events import Event, encode, topic_of
from understudies.runtime.backlog_goal import BacklogGoal
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import Offsets, Record
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater, UnderstudiesError
from understudies.runtime.garbage import paused_garbage_collection
from understudies.runtime.health import ServiceHealth
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
from understudies.runtime.snapshots import Snapshot, SnapshotStore, SnapshotWriter, encode_snapshot, restore_snapshot
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)

_JOIN_RETRY_S: Final = 2.0
_END_OFFSETS_TIMEOUT_S: Final = 30.0
"""Longest time for a tick to fetch the topics' end offsets; if a backlog takes longer, the next tick retries."""
_PATIENCE_S: Final = 3.0
"""Longest wait at shutdown for a service amid its work, such as a training; the next start repeats that work."""


class Runner:
    """Runner of one service on its bus; events and ticks never overlap, so a service needs no locking."""

    def __init__(
        self,
        service: Service,
        bus: Bus,
        *,
        snapshots: SnapshotStore | None = None,
        generation: str = "",
        topic_ids_decide: bool = False,
        timer: Callable[[], float] = time.monotonic,
        default_offsets: Offsets = MappingProxyType({}),
    ) -> None:
        """`default_offsets` are where to begin on partitions of which there is no snapshot, as a group's committed.

        With `topic_ids_decide` a snapshot of another generation holds for the topics that have the same ids: the
        generation is but an address of the broker, of which it may have several.
        """
        self.service = service
        self._bus = bus
        self._snapshots = snapshots if isinstance(service, Stateful) else None
        self._snapshot_writer = SnapshotWriter(self._snapshots, service.name, timer) if self._snapshots else None
        self._generation = generation
        self._topic_ids_decide = topic_ids_decide
        self._of_other_address: Snapshot | None = None
        self._default_offsets = default_offsets
        self._offsets: dict[tuple[str, int], int] = {}
        self._saving: Offsets = {}
        self.saved_offsets: Offsets = {}
        """The offsets that the last snapshot of this process covers."""
        self._topic_ids: dict[str, str] = {}
        self._goal = BacklogGoal(bus, timer)
        self._current_assignment = 0
        self._decided: Offsets = {}
        self._since: datetime | None = None
        self._has_unsaved_changes = False
        self._log_throttle = Throttle()
        self._lock = asyncio.Lock()
        self._handled = asyncio.Event()
        self._started = False
        self._join_task: asyncio.Task[None] | None = None

    async def start(self, replay_source: ReplaySource | None = None) -> None:
        """Restore the last snapshot, then start the service, and its consumer at the snapshot's offsets.

        If the broker has lost the events after the snapshot, `replay_source` supplies them, before any new event.
        Without a snapshot, the committed offsets of a group are useless for topics that are kept forever: those topics
        are read from their beginning. State folded from other topics, such as the ledger of the budget, starts empty.

        Raises RetryLater while the broker is unavailable, unless the service is RunsWithoutBus: then it starts anyway,
        and retries joining its bus in the background until it succeeds.
        """
        with paused_garbage_collection():
            snapshot = self._snapshots.load(self.service.name) if self._snapshots else None
            if snapshot is not None and isinstance(self.service, Stateful):
                await restore_snapshot(self.service, self.service.name, snapshot)
                self._since = snapshot.since
                if snapshot.generation == self._generation:
                    self._offsets = dict(snapshot.offsets)
                    self._topic_ids = dict(snapshot.topic_ids)
                elif self._topic_ids_decide:
                    self._of_other_address = snapshot
        # Also where a snapshot has no offsets of them, as that of a process which has only stood by.
        begin = {**self._default_offsets, **self._initial_offsets()}
        self._bus.consume(
            self.service.topics,
            self._handle,
            max_records=self.service.max_records,
            start=lambda: {**begin, **self._known_offsets()} if isinstance(self.service, Stateful) else {},
            on_assigned=self._note_offsets if isinstance(self.service, Stateful) else None,
            on_revoked=self._finish_batch,
        )
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
        """Join the bus, and wait briefly for the backlog to be handled; if it takes longer, go on in the background."""
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
                # Before the start an error that no retry can cure is raised; a running service can only log it.
                if not (isinstance(error, RetryLater) or self._started):
                    raise
                if self._log_throttle():
                    why = error if isinstance(error, UnderstudiesError) else repr(error)
                    _log.warning("%s continues without its bus and retries: %s", self.service.name, why)
                await asyncio.sleep(next(pauses))
        service.mark_caught_up()
        _log.debug("%s has handled the backlog of its topics", self.service.name)

    def _initial_offsets(self) -> Offsets:
        if not isinstance(self.service, Stateful):
            return {}
        compacted = [topic for topic in self.service.topics if topic.cleanup == "compact"]
        topics = self.service.replay_topics if isinstance(self.service, Replaying) else compacted
        return {(topic.name, partition): 0 for topic in topics for partition in range(topic.partitions)}

    def _known_offsets(self) -> Offsets:
        """Return the offsets to go on from; those of a topic that was made anew begin at 0, as its records do."""
        if self._of_other_address is not None:
            self._adopt_offsets(self._of_other_address)
            self._of_other_address = None
        for topic, id_ in self._bus.topic_ids.items():
            if self._topic_ids.setdefault(topic, id_) != id_:
                self._topic_ids[topic] = id_
                _log.error(
                    "%s reads topic %r from its beginning: it was deleted and made anew since the last snapshot, and "
                    "what it held and nobody had read is lost",
                    self.service.name,
                    topic,
                )
                self._offsets |= {where: 0 for where in self._offsets if where[0] == topic}
        return self._offsets

    def _adopt_offsets(self, snapshot: Snapshot) -> None:
        """Go on at the offsets of a snapshot from another address of the broker, on those topics that are the same."""
        ids = self._bus.topic_ids
        same = {topic for topic, id_ in snapshot.topic_ids.items() if ids.get(topic) == id_}
        self._offsets |= {where: offset for where, offset in snapshot.offsets.items() if where[0] in same}
        if others := sorted({topic for topic, _ in snapshot.offsets} - same):
            _log.warning(
                "%s does not use the offsets that its snapshot has of the topics %s: it was saved at the broker %r, "
                "and at %r they are others, or their ids are not known. If it is the same broker, set "
                "UNDERSTUDIES_BUS_GENERATION to %r",
                self.service.name,
                others,
                snapshot.generation,
                self._generation,
                snapshot.generation,
            )

    async def _replay(self, batches: AsyncIterator[Sequence[Event]]) -> None:
        count = 0
        async for events in batches:
            await self.service.handle([Record(topic_of(event).name, 0, -1, None, encode(event)) for event in events])
            count += len(events)
            self._has_unsaved_changes = True
        if count:
            _log.info("%s replayed the last %d events that were stored before this start", self.service.name, count)

    async def _handle(self, records: Sequence[Record]) -> None:
        async with self._lock:
            self._has_unsaved_changes = True
            await self.service.handle(records)
            for record in records:
                self._offsets[record.topic, record.partition] = record.offset + 1
        self._handled.set()

    async def _note_offsets(self, begin: Offsets) -> None:
        """Save at which offsets the partitions begin of which the state has nothing yet.

        Without that, after a kill before the first snapshot that has a partition, its records would be read on from the
        group's committed offset, and those that were handled and committed meanwhile be missing in the state for ever.
        """
        new = {where: offset for where, offset in begin.items() if where not in self._offsets}
        if not new:
            return
        self._offsets |= new
        self._has_unsaved_changes = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S), self._lock if self._started else contextlib.nullcontext():
                if self._snapshot_writer is not None and self._snapshot_writer.is_due:
                    self._start_snapshot()
                await self._wait_snapshot()

    async def _finish_batch(self) -> None:
        """Wait briefly for the batch or tick in progress: what it publishes should come before the next owner's."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S), self._lock:
                return

    async def _may_decide(self) -> bool:
        """Return whether this process is the owner of its topics, and knows all that was decided before.

        The last owner, such as this service before a kill, may have published decisions that its snapshot lacks: a tick
        before they are read would decide the same anew.
        """
        if self._bus.is_tracked or isinstance(self.service, RunsWithoutBus):
            return True
        assignment = self._bus.assignment_count
        if not assignment or not isinstance(self.service, Stateful):
            return bool(assignment)
        decided = [topic for topic in self.service.topics if topic.cleanup == "compact"]
        if decided and self._current_assignment != assignment:
            try:
                async with asyncio.timeout(_END_OFFSETS_TIMEOUT_S):
                    self._decided = await self._bus.fetch_end_offsets(self._offsets, decided)
            except (TimeoutError, RetryLater):
                return False
            self._current_assignment = assignment
        done = self._has_handled(self._decided)
        if done:
            self._decided = {}
        return done

    async def tick(self, now: datetime, store_checkpoint: Checkpoint | None = None) -> None:
        """Let the service make its time-dependent decisions, and save its state; a large one not at every tick.

        A process that stands by for the owner of its group decides nothing.

        `store_checkpoint` names the offsets up to which the store had all events, and when: if the state covers them
        too, the snapshot records that time. The service continues while the snapshot is written.
        """
        closing = self.service if isinstance(self.service, PeriodClosing) and not self._bus.is_tracked else None
        if closing is not None and not self._goal.is_set and closing.is_period_due(now):
            await self._goal.set(self._offsets)
        may_decide = await self._may_decide()
        async with self._lock:
            if closing is not None:
                closing.is_behind = closing.is_period_due(now) and not self._goal.is_reached(self._has_handled)
            if may_decide:
                await self.service.tick(now)
            if store_checkpoint is not None and self._has_handled(store_checkpoint.offsets):
                self._since = store_checkpoint.at
            if self._snapshot_writer is not None and self._snapshot_writer.is_due:
                self._start_snapshot()
        await self._wait_snapshot()

    def _has_handled(self, offsets: Offsets) -> bool:
        consumed = {topic.name for topic in self.service.topics}
        done = {**self._goal.committed, **self._offsets}
        return all(done.get(where, 0) >= end for where, end in offsets.items() if where[0] in consumed)

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.service.name

    @property
    def is_running(self) -> bool:
        """True from the end of the start to the stop."""
        return self._started

    @property
    def lag(self) -> int:
        """The number of records that the broker told of and the service has not handled yet."""
        done = {**self._goal.committed, **self._offsets}
        ends = self._bus.known_end_offsets()
        return sum(max(0, end - done[where]) for where, end in ends.items() if where in done)

    async def checkpoint(self, clock: Clock) -> Checkpoint:
        """Return the handled offsets, taken between two batches, and the time."""
        async with self._lock:
            return Checkpoint(clock.now(), dict(self._offsets))

    @property
    def health(self) -> ServiceHealth:
        """How far behind its topics the service is."""
        return ServiceHealth(self.service.name, self.lag, "" if self.is_running else "it is not running")

    async def wait_stopped(self) -> None:
        """Wait until the service is stopped; raises the error with which it failed."""
        await self._bus.wait_stopped()

    async def wait_caught_up(self, seconds: float = 5.0) -> None:
        """Wait until the current backlog is handled; log a warning and return if it takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._wait_handled(await self._bus.fetch_end_offsets(self._offsets))
        except (TimeoutError, RetryLater) as error:
            _log.warning("%s stops before it has handled all events: %r", self.service.name, error)

    async def _wait_handled(self, ends: Offsets) -> None:
        while not self._has_handled(ends):
            self._handled.clear()
            await self._handled.wait()

    async def stop(self) -> bool:
        """Let the service finish its work while its bus still runs, then stop both.

        Returns False if the service was amid long work: that is abandoned, and the last tick's snapshot remains.
        """
        self._started = False
        if isinstance(self.service, Draining):
            await self.service.drain()
        if self._join_task is not None:
            self._join_task.cancel()
            await asyncio.gather(self._join_task, return_exceptions=True)
        try:
            await asyncio.wait_for(self._lock.acquire(), _PATIENCE_S)
        except TimeoutError:
            _log.info("%s stops amid its work, which it repeats after the next start", self.service.name)
            await asyncio.wait({asyncio.ensure_future(self._bus.stop())}, timeout=_PATIENCE_S)
            await self._wait_snapshot()
            return False
        try:
            await self.service.stop()
        finally:
            self._lock.release()
        # A process that has only stood by knows nothing that is worth a snapshot.
        has_worked = bool(self._bus.assignment_count or self._offsets)
        await self._bus.stop()
        await self._wait_snapshot()
        self._has_unsaved_changes = has_worked
        self._start_snapshot()
        await self._wait_snapshot()
        return True

    async def wait_idle(self) -> None:
        """Wait until the batch or tick in progress has ended, however long that takes."""
        async with self._lock:
            return

    def _start_snapshot(self) -> None:
        """Begin to save the current state, between two batches, with the offsets that it covers."""
        app = self.service
        if self._snapshot_writer is not None and self._has_unsaved_changes and isinstance(app, Stateful):
            with paused_garbage_collection():
                self._snapshot_writer.start_write(
                    lambda: encode_snapshot(app.state(), self._offsets, self._generation, self._since, self._topic_ids)
                )
            self._saving = dict(self._offsets)
            self._has_unsaved_changes = False

    async def _wait_snapshot(self) -> None:
        if self._snapshot_writer is None:
            return
        if await self._snapshot_writer.wait_written():
            self.saved_offsets = self._saving
        else:
            self._has_unsaved_changes = True
