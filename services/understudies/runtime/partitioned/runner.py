"""Run a service for the partitions that this process owns, and hand each over with its state."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, NamedTuple

from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import Offsets
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater
from understudies.runtime.partitioned.folder import PartitionFolder
from understudies.runtime.partitioned.group import PartitionGroup
from understudies.runtime.process import DataLock
from understudies.runtime.runner import Runner
from understudies.runtime.service import Partitionable, Service
from understudies.runtime.throttle import Throttle
from understudies.runtime.ticking import keep_ticking

_RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)

CreateService = Callable[[TaskPartition, Callable[[], None]], Awaitable[tuple[Service, Bus]]]
"""Creates the service of one partition, and its bus, which asks the other argument before it publishes anything."""
CreateWhole = Callable[[], Awaitable[Partitionable]]
"""Creates a service without state, to split that of a single process."""


class _Open(NamedTuple):
    task: "asyncio.Task[None]"
    closing: asyncio.Event


class PartitionedRunner:
    """A runner for each partition that this process owns.

    A partition is handed over by its lock: it is let go once its state is saved and its bus has stopped, and whoever
    owns it next begins at that state's offsets. A process that was killed has let go of its locks, and what it did
    since its last snapshots is done again, with the same ids.
    """

    def __init__(
        self,
        name: str,
        group: PartitionGroup,
        folder: PartitionFolder,
        create: CreateService,
        create_whole: CreateWhole,
        *,
        generation: str,
        topic_ids_decide: bool = False,
        clock: Clock,
        tick_s: float,
    ) -> None:
        self.name = name
        self._group = group
        self._folder = folder
        self._create = create
        self._create_whole = create_whole
        self._generation = generation
        self._topic_ids_decide = topic_ids_decide
        self._clock = clock
        self._tick_s = tick_s
        self._open: dict[int, _Open] = {}
        self._log_throttle = Throttle()
        self.runners: dict[int, Runner] = {}
        """The runners of the partitions that run now."""
        self.has_joined = False

    async def join(self, folder_id: str) -> None:
        """Join the group of those with this data folder; raises RetryLater while the broker is unavailable."""
        await self._group.start(folder_id)
        self.has_joined = True

    async def run(self, stopping: asyncio.Event) -> None:
        """Run, once joined, until `stopping` is set, then save and let go of all partitions and leave the group.

        Raises the error of a partition whose service failed, and StopService when the group no longer has this process.
        """
        ends = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(self._group.wait_failed())]
        try:
            while not any(end.done() for end in ends):
                self._group.changed.clear()
                self._reconcile()
                change = asyncio.ensure_future(self._group.changed.wait())
                running = [one.task for one in self._open.values()]
                await asyncio.wait({change, *ends, *running}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
            for end in ends:
                if end.done():
                    end.result()
        finally:
            for end in ends:
                end.cancel()
            try:
                await self._close_all()
            finally:
                await self._group.stop()

    def _reconcile(self) -> None:
        """Open the partitions that are owned and not open, and begin to close those that are no longer owned."""
        for number, one in list(self._open.items()):
            if one.task.done():
                del self._open[number]
                one.task.result()
            elif number not in self._group.owned:
                one.closing.set()
        for number in sorted(self._group.owned - self._open.keys()):
            closing = asyncio.Event()
            self._open[number] = _Open(asyncio.ensure_future(self._run_partition(number, closing)), closing)

    async def _close_all(self) -> None:
        for one in self._open.values():
            one.closing.set()
        ended = await asyncio.gather(*(one.task for one in self._open.values()), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def _run_partition(self, number: int, closing: asyncio.Event) -> None:
        async with self._folder.lock(number, closing) as lock:
            if lock is not None:
                await self._run_locked(number, closing, lock)

    async def _run_locked(self, number: int, closing: asyncio.Event, lock: DataLock) -> None:
        runner = await self._start(number, closing, lock)
        if runner is None:
            return
        self.runners[number] = runner
        _log.info("%s owns partition %d", self.name, number)

        async def tick(now: datetime) -> None:
            await asyncio.to_thread(lock.require_held)
            saved = runner.saved_offsets
            await runner.tick(now)
            if runner.saved_offsets is not saved:
                await self._group.commit(runner.saved_offsets)

        try:
            await keep_ticking(tick, runner.wait_stopped, self._clock, closing, self._tick_s)
        finally:
            del self.runners[number]
            if not await runner.stop():
                # Nobody else may begin before what goes on has ended; it publishes nothing any more.
                await runner.wait_idle()
            await self._group.commit(runner.saved_offsets)
            _log.info("%s lets go of partition %d", self.name, number)

    async def _start(self, number: int, closing: asyncio.Event, lock: DataLock) -> Runner | None:
        """Start the runner of a partition, again while the broker is away; None if it is to close by then."""
        while not closing.is_set():
            try:
                # Before anything of the state is touched: it may be in another folder.
                committed = await self._group.claim(number, has_state=self._folder.has_state(number))
                if not await self._folder.deal_out(number, self._create_whole, closing):
                    return None
                return await self._start_once(number, lock, committed)
            except RetryLater as error:
                if self._log_throttle():
                    _log.warning("%s cannot start partition %d and retries: %s", self.name, number, error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closing.wait(), _RETRY_S)
        return None

    async def _start_once(self, number: int, lock: DataLock, committed: Offsets) -> Runner:
        service, bus = await self._create(TaskPartition(number, self._folder.count), lock.require_held)
        runner = Runner(
            service,
            bus,
            snapshots=self._folder.snapshots(number, lock),
            generation=self._generation,
            topic_ids_decide=self._topic_ids_decide,
            default_offsets=committed,
        )
        try:
            await runner.start()
        except RetryLater:
            await bus.stop()
            raise
        return runner

    @property
    def is_running(self) -> bool:
        """True while this process is in its group, may have work, and all partitions that it owns run."""
        may_work = self.has_joined and not self._group.is_left_out
        return may_work and all(number in self.runners for number in self._group.owned)

    @property
    def lag(self) -> int:
        """The number of records that the broker told of and that were not handled yet."""
        return sum(runner.lag for runner in self.runners.values())
