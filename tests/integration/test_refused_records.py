"""What Apache Kafka refuses for good stops nothing else, whether the producer is idempotent or not."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced
from tests.support.brokers import open_kafka
from tests.support.buses import KafkaTopics
from tests.support.sample_events import make_invocation
from tests.support.tansu_broker import open_consumer

from understudies.client.sinks import KafkaSink, OutgoingEvent
from understudies.events import INVOCATIONS, Event, Invocation, encode
from understudies.runtime.bus.admin import bootstrap_servers
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.bus.publisher import Undeliverable
from understudies.runtime.settings import BusSettings

LIMIT = 200_000
HOUR_MS = 3_600_000
both_producers = pytest.mark.parametrize("idempotent", [False, True])


@asynccontextmanager
async def connect(
    idempotent: bool = False, limits: dict[str, dict[str, str]] | None = None
) -> AsyncIterator[tuple[KafkaBus, BusSettings]]:
    """A bus whose topics an operator has made, with limits of Kafka's own."""
    async with open_kafka() as settings:
        settings = settings.model_copy(update={"idempotent": idempotent})
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings))
        await admin.start()
        try:
            await admin.create_topics(
                [NewTopic(name, 1, 1, topic_configs=config) for name, config in (limits or {}).items()]
            )
        finally:
            await admin.close()
        bus = KafkaBus(settings, "writer")
        await bus.start()
        try:
            yield bus, settings
        finally:
            await bus.stop()


async def all_events(settings: BusSettings) -> list[Event]:
    """All that the first partition of invocations holds."""
    found: list[Event] = []
    assert settings.bootstrap is not None
    async with open_consumer(settings.bootstrap, INVOCATIONS) as consumer:
        [partition] = [one for one in consumer.assignment() if one.partition == 0]
        end = (await consumer.end_offsets([partition]))[partition]
        while len(found) < end:
            found.append(INVOCATIONS.decode((await consumer.getone(partition)).value or b""))
    return found


def calls(count: int, size: int) -> list[Invocation]:
    """Calls of one task and one size."""
    return [make_invocation(f"{n} {'x' * size}") for n in range(count)]


@both_producers
async def test_an_event_above_its_topics_limit_is_named_and_all_others_arrive_once_and_in_order(
    idempotent: bool,
) -> None:
    async with connect(idempotent, {INVOCATIONS.name: {"max.message.bytes": str(LIMIT)}}) as (bus, settings):
        before, large, after = calls(30, 20_000), make_invocation("x" * 2 * LIMIT), calls(30, 20_000)
        with pytest.raises(Undeliverable, match=r"max\.message\.bytes") as caught:
            await bus.publish(*before, large, *after)
        assert caught.value.rejected == (30,)
        later = calls(5, 10)
        await bus.publish(*later)
        assert await all_events(settings) == [*before, *after, *later]


@both_producers
async def test_a_clock_that_the_broker_finds_wrong_stops_nothing(idempotent: bool) -> None:
    # To this topic, every sender's clock is late.
    limits = {INVOCATIONS.name: {"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": "0"}}
    async with connect(idempotent, limits) as (bus, settings):
        sent = calls(100, 1000)
        await bus.publish(*sent)
        assert await all_events(settings) == sent


@both_producers
async def test_an_agents_wrong_clock_or_large_call_loses_none_of_its_other_calls(idempotent: bool) -> None:
    limits = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": "0",
        "max.message.bytes": str(LIMIT),
    }
    async with connect(limits={INVOCATIONS.name: limits}) as (_, settings):
        assert settings.bootstrap is not None
        sink = KafkaSink(settings.bootstrap, 2 * LIMIT, {"enable_idempotence": idempotent})
        sent = [*calls(40, 1000), make_invocation("x" * int(1.5 * LIMIT)), *calls(40, 1000)]
        try:
            refused = await sink.write([OutgoingEvent(event, INVOCATIONS, encode(event), ()) for event in sent])
        finally:
            await sink.stop()
        assert list(refused) == [40]
        del sent[40]
        stored = await all_events(settings)
        assert sorted(event.id for event in stored) == sorted(event.id for event in sent)


async def test_topics_of_our_making_take_records_from_the_future() -> None:
    async with connect() as (_, settings):
        producer = AIOKafkaProducer(bootstrap_servers=",".join(bootstrap_servers(settings)))
        await producer.start()
        try:
            ahead_ms = int(time.time() * 1000) + 2 * HOUR_MS
            event = make_invocation()
            stored = await producer.send_and_wait(INVOCATIONS.name, encode(event), partition=0, timestamp_ms=ahead_ms)
        finally:
            await producer.stop()
        assert stored.timestamp < ahead_ms - HOUR_MS
        assert await all_events(settings) == [event]


async def test_a_fenced_producer_is_made_anew() -> None:
    async with connect(idempotent=True) as (bus, _):
        event = make_invocation()
        await bus.publish(event)
        fenced = bus._publisher._producer
        assert fenced is not None
        state = fenced._txn_manager
        assert state is not None
        granted = state._pid_and_epoch
        # The broker learns of a later epoch, as when the id was given to another process.
        state._pid_and_epoch = granted._replace(epoch=granted.epoch + 1)
        state._sequence_numbers.clear()
        await bus.publish(event)
        state._pid_and_epoch = granted
        with pytest.raises(ProducerFenced):
            await fenced.send_and_wait(INVOCATIONS.name, encode(event), key=event.task.encode())
        await bus.publish(event)
        assert bus._publisher._producer is not fenced


async def test_an_outbox_sets_aside_what_its_topic_does_not_take() -> None:
    async with connect(limits={INVOCATIONS.name: {"max.message.bytes": str(LIMIT)}}) as (bus, settings):
        outbox = Outbox(bus)
        large, small = make_invocation("x" * 2 * LIMIT), make_invocation()
        outbox.add([large, small])
        await outbox.flush()
        assert len(outbox) == 0
        assert await all_events(settings) == [small]
        [(value, headers)] = await KafkaTopics(settings).read_dead_letters(1)
        assert INVOCATIONS.decode(value) == large
        assert headers["original-topic"] == b"invocations"
        assert b"max.message.bytes" in headers["reason"]


async def test_of_a_dead_letter_that_is_too_large_the_beginning_is_kept() -> None:
    async with connect(limits={DEAD_LETTERS: {"max.message.bytes": str(LIMIT)}}) as (bus, settings):
        value = b"{" + b"x" * 2 * LIMIT
        assert await bus.decode_events([Record(INVOCATIONS.name, 3, 7, b"key", value)]) == []
        [(kept, headers)] = await KafkaTopics(settings).read_dead_letters(1)
        assert kept == value[:1024]
        assert headers["shortened-from-bytes"] == str(len(value)).encode()
        assert headers["original-offset"] == b"7"
