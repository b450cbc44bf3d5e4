"""A broker that goes away: found out in bounded time, told which messages arrived, and reached again by itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.support.sample_events import make_invocation
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.events import INVOCATIONS, Invocation
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.publisher import NotDelivered
from understudies.runtime.settings import BusSettings


def settings(tansu: TansuBroker, timeout_s: float = 0.5) -> BusSettings:
    return BusSettings(bootstrap=tansu.bootstrap, group_prefix=None, publish_timeout_s=timeout_s)


async def deliver(bus: Bus, event: Invocation) -> None:
    """Publish an event until the broker has it: where others work too, even a healthy one may answer too late."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await bus.publish(event)
            except NotDelivered:
                continue


async def test_a_dead_broker_is_noticed_named_and_reached_again_when_it_is_back() -> None:
    async with TansuBroker() as tansu:
        flow = InFlightTracker()
        flow.register("reader", [INVOCATIONS.name])
        bus = KafkaBus(settings(tansu), "writer", flow)
        await bus.start()
        await deliver(bus, make_invocation())
        tansu.stop()
        for _ in range(2):
            with pytest.raises(NotDelivered, match="2 of 2 events did not reach the broker") as caught:
                await asyncio.wait_for(bus.publish(make_invocation(), make_invocation()), 20)
            assert caught.value.missing == (0, 1)
        assert flow.lag == {"reader": 1}
        await tansu.start()
        last = make_invocation("the last one")
        await deliver(bus, last)
        assert last in await read_events(tansu.bootstrap, INVOCATIONS, 1)
        await asyncio.wait_for(bus.stop(), 20)


async def test_a_broker_that_answers_nothing_is_noticed() -> None:
    async with TansuBroker() as tansu:
        bus = KafkaBus(settings(tansu), "writer")
        await bus.start()
        await deliver(bus, make_invocation())
        tansu.pause()
        with pytest.raises(NotDelivered, match="1 of 1 events"):
            await asyncio.wait_for(bus.publish(make_invocation()), 20)
        tansu.resume()
        await asyncio.wait_for(bus.stop(), 20)


async def test_a_bus_with_a_dead_broker_stops() -> None:
    async with TansuBroker() as tansu:
        bus = KafkaBus(settings(tansu), "writer")
        await bus.start()
        tansu.stop()
        publishing = asyncio.ensure_future(bus.publish(make_invocation()))
        await asyncio.sleep(0)
        await asyncio.wait_for(bus.stop(), 20)
        with pytest.raises(NotDelivered):
            await publishing


async def replace_when_broken(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Coroutine[Any, Any, Any]], problem: str
) -> None:
    """Break the sending of a connected producer for good; what is published then is refused once, and arrives later."""
    async with TansuBroker() as tansu:
        bus = KafkaBus(settings(tansu), "writer")
        await bus.start()
        await deliver(bus, make_invocation("before"))
        broken = bus._publisher._producer
        assert broken is not None
        monkeypatch.setattr(broken.client, "send", answer)
        with pytest.raises(NotDelivered, match=problem):
            await asyncio.wait_for(bus.publish(make_invocation("lost at first")), 20)
        last = make_invocation("after")
        await deliver(bus, last)
        assert bus._publisher._producer is not broken
        assert last in await read_events(tansu.bootstrap, INVOCATIONS, 2)
        await asyncio.wait_for(bus.stop(), 20)


async def test_a_producer_whose_sending_task_has_ended_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise KeyError("a connection that another task has removed")

    await replace_when_broken(monkeypatch, fail, "Unexpected error during batch delivery")


async def test_a_producer_that_answers_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_forever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    await replace_when_broken(monkeypatch, wait_forever, "no answer from Kafka in 1.5 s")
