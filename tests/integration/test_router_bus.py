"""The router on a real bus: promotions and drift in, invocations out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.brokers import open_embedded
from tests.support.router_fixtures import (
    NOON,
    FixedStudent,
    FixedTeacher,
    StubLoader,
    make_call,
    make_drift,
    make_promotion,
)

from understudies.datasets.object_store import ObjectStore
from understudies.events import INVOCATIONS, Event, Invocation
from understudies.router.app import RouterApp
from understudies.router.factory import create_app
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import VirtualClock
from understudies.runtime.runner import Runner
from understudies.runtime.settings import BusSettings
from understudies.runtime.snapshots import SnapshotStore


class World:
    """A router with a bus of its own, and one more bus for the test."""

    def __init__(self, settings: BusSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.flow = InFlightTracker()
        self.outside = KafkaBus(settings, "outside", self.flow)
        self.seen: list[Invocation] = []
        self.news = asyncio.Event()
        self.teacher = FixedTeacher()

    async def begin(self) -> None:
        self.outside.consume((INVOCATIONS,), self._hear)
        await self.outside.start()
        self._stack.push_async_callback(self.outside.stop)

    async def router(self, snapshots: SnapshotStore | None = None, *, auto: bool = False) -> tuple[RouterApp, Runner]:
        bus = KafkaBus(self._settings, "router", self.flow)
        app = create_app(
            RouterSettings(auto_deliver=auto, self_agreement_rate=0, probation_calls=0),
            bus=bus,
            clock=VirtualClock(NOON),
            files=ObjectStore("memory://students"),
            teacher=self.teacher,
            load=StubLoader(FixedStudent()),
        )
        runner = Runner(app, bus, snapshots=snapshots, generation=self._settings.generation)
        await runner.start()
        return app, runner

    async def tell(self, *events: Event) -> None:
        await self.outside.publish(*events)
        await asyncio.wait_for(self.flow.wait_until_idle(), 30)

    async def heard(self) -> list[str]:
        await asyncio.wait_for(self.flow.wait_until_idle(), 30)
        return sorted(event.route.reason for event in self.seen if event.route)

    async def _hear(self, records: Sequence[Record]) -> None:
        self.seen += [event for event in await self.outside.decode_events(records) if isinstance(event, Invocation)]
        self.news.set()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_embedded() as settings, AsyncExitStack() as stack:
        world = World(settings, stack)
        await world.begin()
        yield world


async def test_a_story_told_on_the_bus_routes_the_calls(world: World) -> None:
    app, runner = await world.router()
    await app.call_service.serve(make_call(0))
    await world.tell(make_promotion(audit_rate=1.0))
    await app.call_service.serve(make_call(1))
    await world.tell(make_drift())
    await app.call_service.serve(make_call(2))
    await app.call_service.wait_idle()
    assert await world.heard() == []
    await app.recorder.flush()
    assert await world.heard() == ["audit", "drift", "no_student", "promoted"]
    await runner.stop()


async def test_events_are_delivered_in_the_background(world: World) -> None:
    app, runner = await world.router(auto=True)
    await app.call_service.serve(make_call(0))
    await asyncio.wait_for(world.news.wait(), 30)
    await runner.stop()
    assert await world.heard() == ["no_student"]


async def test_what_waits_is_delivered_at_the_stop(world: World) -> None:
    app, runner = await world.router()
    await app.call_service.serve(make_call(0))
    await runner.stop()
    assert await world.heard() == ["no_student"]


async def test_the_table_survives_a_restart(world: World, tmp_path: Path) -> None:
    snapshots = SnapshotStore(tmp_path)
    app, runner = await world.router(snapshots)
    await world.tell(make_promotion())
    table = app.call_service.table
    await runner.stop()
    app, runner = await world.router(snapshots)
    assert app.call_service.table == table
    await runner.stop()
