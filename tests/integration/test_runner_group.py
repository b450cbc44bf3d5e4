"""A service of a group that has lost its snapshot."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.brokers import open_embedded_with_groups
from tests.support.router_fixtures import make_promotion
from tests.support.sample_events import make_invocation

from understudies.events import INVOCATIONS, PROMOTIONS, Event, Topic
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.runner import Runner
from understudies.runtime.settings import BusSettings
from understudies.runtime.snapshots import SnapshotStore


class RecordingService:
    """Keeps what it reads."""

    name = "reader"
    topics: Sequence[Topic] = (PROMOTIONS, INVOCATIONS)
    max_records = 100

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.read: list[str] = []
        self.more = asyncio.Condition()

    async def start(self) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        events = await self._bus.decode_events(records)
        async with self.more:
            self.read += [event.id for event in events]
            self.more.notify_all()

    async def has(self, event: Event) -> None:
        async with asyncio.timeout(60), self.more:
            await self.more.wait_for(lambda: event.id in self.read)

    async def tick(self, now: datetime) -> None: ...

    async def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {"read": self.read}

    async def restore(self, state: dict[str, Any]) -> None:
        self.read = state["read"]


async def started(settings: BusSettings, folder: Path) -> tuple[RecordingService, Runner, Bus]:
    bus = KafkaBus(settings, "reader")
    app = RecordingService(bus)
    runner = Runner(app, bus, snapshots=SnapshotStore(folder))
    await runner.start()
    return app, runner, bus


async def test_promotions_are_read_anew_and_calls_are_not(tmp_path: Path) -> None:
    told, first, second = make_promotion(), make_invocation("first"), make_invocation("second")
    async with open_embedded_with_groups() as settings:
        app, runner, bus = await started(settings, tmp_path / "kept")
        await bus.publish(told, first)
        await app.has(told)
        await app.has(first)
        await runner.stop()
        app, runner, bus = await started(settings, tmp_path / "lost")
        await bus.publish(second)
        await app.has(told)
        await app.has(second)
        await runner.stop()
        assert sorted(app.read) == sorted([told.id, second.id])


async def test_what_comes_between_the_last_snapshot_and_a_kill_is_read_again(tmp_path: Path) -> None:
    # On partitions of which the snapshot has nothing yet: the group has committed what the killed process handled.
    first, second, third = (make_invocation(name, task=name) for name in ("first", "second", "third"))
    async with open_embedded_with_groups() as settings:
        app, _, bus = await started(settings, tmp_path)
        await bus.publish(first, second)
        await app.has(first)
        await app.has(second)
        # No tick, and no snapshot at the end, as with kill -9; what was handled is committed.
        await bus.stop()
        app, runner, bus = await started(settings, tmp_path)
        await bus.publish(third)
        await app.has(third)
        await runner.stop()
        assert sorted(app.read) == sorted([first.id, second.id, third.id])
