"""A bus that reads one partition of the topics that are keyed by task."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.brokers import open_kafka
from tests.support.sample_events import make_invocation, make_promotion

from understudies.events import INVOCATIONS, PROMOTIONS, Event, Invocation, Topic
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.errors import StopService
from understudies.runtime.runner import Runner
from understudies.runtime.snapshots import SnapshotStore

COUNT = INVOCATIONS.partitions
TASKS = [f"task-{number}" for number in range(12)]


class Reader:
    """Keeps the events of one partition's tasks."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus = bus
        self.events: list[Event] = []
        self.more = asyncio.Condition()

    async def handle(self, records: Sequence[Record]) -> None:
        events = await self._bus.decode_events(records)
        async with self.more:
            self.events += events
            self.more.notify_all()

    async def has(self, ids: set[str]) -> None:
        async with asyncio.timeout(60), self.more:
            await self.more.wait_for(lambda: ids <= {event.id for event in self.events})


async def test_each_reads_the_events_of_its_tasks_wherever_their_producer_put_them() -> None:
    async with open_kafka() as settings:
        buses = [KafkaBus(settings, "reader", partition=TaskPartition(number, COUNT)) for number in range(COUNT)]
        readers = [Reader(bus) for bus in buses]
        for bus, reader in zip(buses, readers, strict=True):
            bus.consume((INVOCATIONS, PROMOTIONS), reader.handle)
            await bus.start()
        outside = KafkaBus(settings, "outside")
        await outside.start()
        try:
            calls = [make_invocation(f"{task} {number}", task=task) for task in TASKS for number in range(10)]
            told = [make_promotion(task=task) for task in TASKS]
            await outside.publish(*told, *calls[::2])
            # Without a key the partition is any; librdkafka's default takes another hash of the key.
            strays = [outside.to_message(call)._replace(key=None) for call in calls[1::2]]
            await outside.publish_encoded(strays)
            for number, reader in enumerate(readers):
                partition = TaskPartition(number, COUNT)
                await reader.has({event.id for event in (*calls, *told) if partition.owns(event.task)})
                assert all(partition.owns(event.task) for event in reader.events)
                ids = [event.id for event in reader.events]
                assert len(ids) == len(set(ids))
        finally:
            for bus in (*buses, outside):
                await bus.stop()


class ClosingService(Reader):
    """Closes a period at its first tick at which it is not behind."""

    name = "reader"
    topics: Sequence[Topic] = (INVOCATIONS, PROMOTIONS)
    max_records = 100
    is_behind = True

    async def start(self) -> None: ...

    def is_period_due(self, now: datetime) -> bool:
        return self.is_behind

    async def tick(self, now: datetime) -> None: ...

    async def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    async def restore(self, state: dict[str, Any]) -> None: ...


async def test_who_begins_at_the_offsets_of_its_group_has_handled_what_is_below_them(tmp_path: Path) -> None:
    partition = next(one for number in range(COUNT) if (one := TaskPartition(number, COUNT)).owns(TASKS[0]))
    where = (INVOCATIONS.name, partition.number)
    async with open_kafka() as settings:
        outside = KafkaBus(settings, "outside")
        await outside.start()
        await outside.publish(*(make_invocation(f"{number}", task=TASKS[0]) for number in range(3)))
        await outside.stop()
        bus = KafkaBus(settings, "reader", partition=partition)
        app = ClosingService(bus)
        runner = Runner(app, bus, snapshots=SnapshotStore(tmp_path), default_offsets={where: 3})
        await runner.start()
        try:
            await runner.tick(datetime.now(UTC))
            assert not app.is_behind
            saved = SnapshotStore(tmp_path).load("reader")
            assert saved is not None
            assert saved.offsets[where] == 3
        finally:
            await runner.stop()
        assert app.events == []


class Decider(ClosingService):
    """Publishes a decision for every call it reads, once it may go on."""

    def __init__(self, bus: KafkaBus) -> None:
        super().__init__(bus)
        self.busy, self.go_on = asyncio.Event(), asyncio.Event()

    async def handle(self, records: Sequence[Record]) -> None:
        calls = [event for event in await self._bus.decode_events(records) if isinstance(event, Invocation)]
        if calls:
            self.busy.set()
            await self.go_on.wait()
            await self._bus.publish(*(make_promotion(task=call.task) for call in calls))

    async def tick(self, now: datetime) -> None:
        await self._bus.publish(make_promotion(task=TASKS[0]))


async def test_who_has_lost_its_partition_amid_a_batch_or_tick_publishes_no_more() -> None:
    partition = next(one for number in range(COUNT) if (one := TaskPartition(number, COUNT)).owns(TASKS[0]))
    has_it = True

    def require_owned() -> None:
        if not has_it:
            raise StopService("another has it now")

    async with open_kafka() as settings:
        outside = KafkaBus(settings, "outside")
        everything = Reader(outside)
        outside.consume((PROMOTIONS,), everything.handle)
        await outside.start()
        bus = KafkaBus(settings, "reader", partition=partition, require_owned=require_owned)
        service = Decider(bus)
        bus.consume(service.topics, service.handle)
        await bus.start()
        try:
            await service.tick(datetime.now(UTC))
            await outside.publish(make_invocation("again", task=TASKS[0]))
            await service.busy.wait()
            has_it = False
            service.go_on.set()
            with pytest.raises(StopService, match="another has it now"):
                async with asyncio.timeout(60):
                    await bus.wait_stopped()
            with pytest.raises(StopService, match="another has it now"):
                await service.tick(datetime.now(UTC))
            last = make_promotion(task=TASKS[0])
            await outside.publish(last)
            await everything.has({last.id})
            assert len(everything.events) == 2
        finally:
            await bus.stop()
            await outside.stop()
