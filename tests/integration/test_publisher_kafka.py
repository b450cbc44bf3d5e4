"""The idempotent publisher on Apache Kafka: what is in flight when the line is cut arrives once."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.support.kafka_server import KafkaServer
from tests.support.sample_events import make_invocation
from tests.support.tansu_broker import read_events
from tests.support.tcp_proxy import TcpProxy

from understudies.events import INVOCATIONS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings

SECONDS = 60


async def records(bootstrap: str) -> int:
    """How many records the topic holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(INVOCATIONS.name, n) for n in range(INVOCATIONS.partitions)])
        return sum(ends.values())
    finally:
        await consumer.stop()


async def test_what_the_broker_took_before_its_answer_was_lost_is_not_taken_again() -> None:
    async with TcpProxy() as line, KafkaServer(advertised=line.address) as kafka:
        line.target = kafka.bootstrap
        settings = BusSettings(bootstrap=line.address, idempotent=True, group_prefix=None, publish_timeout_s=2)
        bus = KafkaBus(settings, "router")
        await bus.start()
        await bus.publish(make_invocation("the first"))
        sent = [make_invocation(f"call {number}") for number in range(100)]
        await line.set_state("mute")
        publishing = asyncio.ensure_future(bus.publish(*sent))
        await asyncio.wait({publishing}, timeout=1)
        assert not publishing.done()
        await line.reset_connections()
        await line.set_state("open")
        await asyncio.wait_for(publishing, SECONDS)
        found = await read_events(line.address, INVOCATIONS, 101)
        assert {event.id for event in sent} <= {event.id for event in found}
        assert await records(line.address) == 101
        await bus.stop()
