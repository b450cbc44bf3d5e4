"""What a bus does to the accounts of its process, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.brokers import open_embedded
from tests.support.sample_events import make_promotion

from understudies.events import PROMOTIONS
from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings


@pytest.fixture
async def settings() -> AsyncIterator[BusSettings]:
    async with open_embedded() as settings:
        yield settings


async def nothing(records: Sequence[Record]) -> None:
    """Handled."""


async def test_a_process_is_drained_when_everything_published_was_handled(settings: BusSettings) -> None:
    flow = InFlightTracker()
    first, second = KafkaBus(settings, "first", flow), KafkaBus(settings, "second", flow)
    handled: list[str] = []

    async def pass_on(records: Sequence[Record]) -> None:
        for event in await first.decode_events(records):
            if event.id.startswith("cause"):
                await first.publish(make_promotion("trained").model_copy(update={"id": f"effect of {event.id}"}))

    async def note(records: Sequence[Record]) -> None:
        handled.extend(event.id for event in await second.decode_events(records))

    first.consume([PROMOTIONS], pass_on)
    second.consume([PROMOTIONS], note)
    await first.start()
    await second.start()
    causes = [make_promotion().model_copy(update={"id": f"cause {n}"}) for n in range(20)]
    await second.publish(*causes)
    await flow.wait_until_idle()
    assert sorted(handled) == sorted([cause.id for cause in causes] + [f"effect of {cause.id}" for cause in causes])
    await first.stop()
    await second.stop()


async def test_a_failing_service_ends_the_wait_with_its_error(settings: BusSettings) -> None:
    flow = InFlightTracker()
    bus = KafkaBus(settings.model_copy(update={"max_attempts": 1}), "failing", flow)

    async def fail(records: Sequence[Record]) -> None:
        raise RetryLater("the store is away")

    bus.consume([PROMOTIONS], fail)
    await bus.start()
    await bus.publish(make_promotion())
    with pytest.raises(RetryLater, match="the store is away"):
        await flow.wait_until_idle()
    await bus.stop()


async def test_stopping_waits_for_the_running_handler(settings: BusSettings) -> None:
    bus = KafkaBus(settings, "slow")
    begun, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(records: Sequence[Record]) -> None:
        begun.set()
        await finish.wait()
        finished.set()

    bus.consume([PROMOTIONS], slowly)
    await bus.start()
    await bus.publish(make_promotion())
    await begun.wait()
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0)
    finish.set()
    await stopping
    assert finished.is_set()
    await bus.wait_stopped()


async def test_stopping_does_not_wait_for_the_next_attempt(settings: BusSettings) -> None:
    bus = KafkaBus(settings, "failing")
    failed = asyncio.Event()

    async def fail(records: Sequence[Record]) -> None:
        failed.set()
        raise ValueError("a bug")

    bus.consume([PROMOTIONS], fail)
    await bus.start()
    await bus.publish(make_promotion())
    await failed.wait()
    await asyncio.wait_for(bus.stop(), 5)


async def test_what_did_not_reach_the_broker_is_not_waited_for() -> None:
    flow = InFlightTracker()
    flow.register("reader", [PROMOTIONS.name])
    async with EmbeddedBroker() as broker:
        bus = KafkaBus(broker.settings, "writer", flow)
        await bus.start()
        await bus.stop()
        with pytest.raises(RetryLater, match="2 of 2 events did not reach the broker"):
            await bus.publish(make_promotion(), make_promotion())
    assert flow.lag == {}


async def test_a_second_subscription_is_a_mistake(settings: BusSettings) -> None:
    bus = KafkaBus(settings, "twice")
    bus.consume([PROMOTIONS], nothing)
    with pytest.raises(RuntimeError, match="pass all topics in one call"):
        bus.consume([PROMOTIONS], nothing)
