"""Runners of partitions that come to a process and leave it, on logs in memory and a real folder."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from understudies.events import INVOCATIONS, Topic
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import BatchHandler, Offsets, Record
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.clock import SystemClock
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.runtime.partitioned.folder import PartitionFolder, is_split
from understudies.runtime.partitioned.group import PartitionGroup
from understudies.runtime.partitioned.runner import PartitionedRunner
from understudies.runtime.service import Service
from understudies.runtime.snapshots import SnapshotStore

COUNT = 4
SECONDS = 60

Logs = list[list[Record]]


class LogBus:
    """Reads one partition's log, a record or a few at once."""

    is_tracked = False

    def __init__(self, log: list[Record]) -> None:
        self._log = log
        self._handler: BatchHandler | None = None
        self._start: Callable[[], Offsets] = dict
        self._reading: asyncio.Task[None] | None = None
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stop_error: Exception | None = None
        self.assignment_count = 0
        self.topic_ids: dict[str, str] = {}

    def consume(
        self, topics: Sequence[Topic], handler: BatchHandler, *, start: Callable[[], Offsets], **rest: Any
    ) -> None:
        self._handler, self._start = handler, start

    async def start(self) -> None:
        self.assignment_count = 1
        self._reading = asyncio.create_task(self._read(sum(self._start().values())))

    async def _read(self, offset: int) -> None:
        assert self._handler is not None
        while True:
            batch = self._log[offset : offset + 3]
            if batch:
                await self._handler(batch)
                offset += len(batch)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self.stop_error is not None:
            raise self.stop_error

    async def wait_stopped(self) -> None:
        await asyncio.shield(self.failure)

    def known_end_offsets(self) -> Offsets:
        return {}


class Keeper:
    """Keeps the values of what it reads."""

    name = "keeper"
    topics: Sequence[Topic] = (INVOCATIONS,)
    max_records = 100

    def __init__(self) -> None:
        self.kept: list[str] = []

    async def start(self) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            await asyncio.sleep(0)
            self.kept.append(record.value.decode())

    async def tick(self, now: datetime) -> None: ...

    async def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {"kept": list(self.kept)}

    async def restore(self, state: dict[str, Any]) -> None:
        self.kept = list(state["kept"])

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        self.kept = [value for value in self.kept if owns(value)]


class FakeGroup:
    """Owns what it is told to."""

    def __init__(self) -> None:
        self.owned: frozenset[int] = frozenset()
        self.changed = asyncio.Event()
        self.is_left_out = False
        self.has_left = False
        self.refusals: list[Exception] = []

    def give(self, *numbers: int) -> None:
        self.owned = frozenset(numbers)
        self.changed.set()

    async def start(self, folder_id: str) -> None: ...

    async def wait_failed(self) -> None:
        await asyncio.Event().wait()

    async def claim(self, number: int, *, has_state: bool) -> Offsets:
        if self.refusals:
            raise self.refusals.pop(0)
        return {}

    async def commit(self, offsets: Offsets) -> None: ...

    async def stop(self) -> None:
        self.has_left = True


class Copy:
    """One process, as far as a partitioned runner is one."""

    def __init__(self, folder: PartitionFolder, logs: Logs) -> None:
        self.group = FakeGroup()
        self.buses: dict[int, LogBus] = {}
        self.checks: dict[int, Callable[[], None]] = {}
        self._logs = logs
        self.folder = folder
        self.runner = PartitionedRunner(
            "keeper",
            cast(PartitionGroup, self.group),
            folder,
            self._create,
            self._create_whole,
            generation="",
            clock=SystemClock(),
            tick_s=0.01,
        )
        self.stopping = asyncio.Event()
        self.running: asyncio.Task[None] | None = None

    async def _create(self, partition: TaskPartition, require_owned: Callable[[], None]) -> tuple[Service, Bus]:
        self.checks[partition.number] = require_owned
        bus = self.buses[partition.number] = LogBus(self._logs[partition.number])
        return Keeper(), cast(Bus, bus)

    async def _create_whole(self) -> Keeper:
        return Keeper()

    async def start(self) -> None:
        id_ = await self.folder.open(self.stopping)
        assert id_ is not None
        await self.runner.join(id_)
        self.running = asyncio.create_task(self.runner.run(self.stopping))

    async def owns(self, *numbers: int) -> None:
        self.group.give(*numbers)
        async with asyncio.timeout(SECONDS):
            while set(self.runner.runners) != set(numbers):  # noqa: ASYNC110 - in other tasks
                await asyncio.sleep(0)

    async def stop(self) -> None:
        self.stopping.set()
        assert self.running is not None
        async with asyncio.timeout(SECONDS):
            await self.running


def append(logs: Logs, number: int, value: str) -> None:
    log = logs[number]
    log.append(Record(INVOCATIONS.name, number, len(log), None, value.encode()))


def kept(folder: PartitionFolder) -> list[str]:
    snapshots = [folder.snapshots(number).load("keeper") for number in range(folder.count)]
    return [value for snapshot in snapshots if snapshot is not None for value in snapshot.state["kept"]]


@pytest.fixture
def logs() -> Logs:
    return [[] for _ in range(COUNT)]


@pytest.fixture
def folder(tmp_path: Path) -> PartitionFolder:
    return PartitionFolder(tmp_path, "keeper", COUNT)


@contextlib.asynccontextmanager
async def started(copy: Copy) -> AsyncIterator[Copy]:
    await copy.start()
    try:
        yield copy
    finally:
        copy.stopping.set()
        assert copy.running is not None
        await asyncio.gather(copy.running, return_exceptions=True)


@pytest.mark.parametrize("seed", range(5))
async def test_each_event_is_kept_once_while_partitions_move(folder: PartitionFolder, logs: Logs, seed: int) -> None:
    rng = Random(seed)
    copies = [Copy(folder, logs) for _ in range(2)]
    async with started(copies[0]), started(copies[1]):
        for round_ in range(20):
            for number in range(COUNT):
                append(logs, number, f"{round_}-{number}")
            # They learn of it one after the other, so that a partition has two owners, or none, meanwhile.
            owners = [rng.randrange(2) for _ in range(COUNT)]
            for place in rng.sample(range(2), 2):
                copies[place].group.give(*(number for number, owner in enumerate(owners) if owner == place))
                for _ in range(rng.randrange(200)):
                    await asyncio.sleep(0)
        await asyncio.gather(*(copy.owns(*range(place, COUNT, 2)) for place, copy in enumerate(copies)))
        # Each is read to its end before its state is saved for the last time.
        async with asyncio.timeout(SECONDS):
            while len(kept(folder)) < sum(map(len, logs)):  # noqa: ASYNC110 - in another task
                await asyncio.sleep(0.01)
        for copy in copies:
            await copy.stop()
    assert sorted(kept(folder)) == sorted(record.value.decode() for log in logs for record in log)


async def test_who_has_lost_its_lock_stops_and_leaves_the_other_s_state_alone(
    folder: PartitionFolder, logs: Logs, tmp_path: Path
) -> None:
    first, second = Copy(folder, logs), Copy(folder, logs)
    async with started(first), started(second):
        await first.owns(0, 1)
        # As a file system does that forgets the locks of a machine that was stopped.
        (tmp_path / "keeper-0-of-4.lock").unlink()
        await second.owns(0)
        # Asked before anything is published.
        with pytest.raises(StopService, match="has it now"):
            first.checks[0]()
        first.checks[1]()
        second.checks[0]()
        append(logs, 0, "new")
        assert first.running is not None
        with pytest.raises(StopService, match=r"keeper-0-of-4.lock' was lost, and process [0-9]+ on .* has it"):
            await asyncio.wait_for(first.running, SECONDS)
        assert first.group.has_left
        await second.stop()
    assert kept(folder) == ["new"]


async def test_it_leaves_the_group_whatever_its_partitions_end_with(folder: PartitionFolder, logs: Logs) -> None:
    async with started(Copy(folder, logs)) as copy:
        await copy.owns(0, 1)
        copy.buses[1].stop_error = RuntimeError("cannot be stopped")
        copy.buses[0].failure.set_exception(StopService("failed"))
        assert copy.running is not None
        with pytest.raises((StopService, RuntimeError)):
            await asyncio.wait_for(copy.running, SECONDS)
        assert copy.group.has_left


async def test_who_shares_no_folder_with_the_others_is_not_ready(folder: PartitionFolder, logs: Logs) -> None:
    async with started(Copy(folder, logs)) as copy:
        await copy.owns()
        assert copy.runner.is_running
        copy.group.is_left_out = True
        assert not copy.runner.is_running
        copy.group.is_left_out = False
        await copy.owns(1)
        assert copy.runner.is_running
        copy.group.give(1, 2)
        assert not copy.runner.is_running


async def test_who_is_refused_a_partition_ends_and_has_changed_nothing(
    folder: PartitionFolder, logs: Logs, tmp_path: Path
) -> None:
    whole = SnapshotStore(tmp_path / "snapshots")
    whole.save("keeper", {"kept": ["before"]}, {}, "")
    async with started(Copy(folder, logs)) as copy:
        copy.group.refusals = [RetryLater("the group rebalances"), ConfigurationError("the state is elsewhere")]
        copy.group.give(1)
        assert copy.running is not None
        with pytest.raises(ConfigurationError, match="elsewhere"):
            await asyncio.wait_for(copy.running, SECONDS)
        assert copy.group.has_left
        assert copy.buses == {}
    assert whole.has("keeper")
    assert kept(folder) == []
    assert not is_split(tmp_path, "keeper")
