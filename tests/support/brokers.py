"""Brokers to test against: a fresh embedded one, and Apache Kafka where the environment names its jars."""

import atexit
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from tests.support.kafka_server import KafkaServer

from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.settings import BusSettings

BrokerFactory = Callable[[], AbstractAsyncContextManager[BusSettings]]


@asynccontextmanager
async def open_embedded() -> AsyncIterator[BusSettings]:
    """An embedded broker, read without groups."""
    async with EmbeddedBroker() as broker:
        yield broker.settings


@asynccontextmanager
async def open_embedded_with_groups() -> AsyncIterator[BusSettings]:
    """An embedded broker, read by groups; joining one takes it five seconds."""
    async with EmbeddedBroker() as broker:
        yield broker.settings.model_copy(update={"group_prefix": "test"})


@cache
def _shared_kafka() -> KafkaServer:
    """One Kafka for all tests of a run: it takes some seconds to start."""
    broker = KafkaServer()
    atexit.register(broker.stop)
    broker.start()
    return broker


@asynccontextmanager
async def open_kafka() -> AsyncIterator[BusSettings]:
    """Apache Kafka without topics, with groups of this test's own."""
    broker = _shared_kafka()
    await broker.delete_topics()
    yield BusSettings(bootstrap=broker.bootstrap, group_prefix=f"test-{uuid.uuid4().hex}", fetch_max_wait_ms=10)


BROKERS: dict[str, BrokerFactory] = {
    "embedded": open_embedded,
    "embedded_with_groups": open_embedded_with_groups,
    "kafka": open_kafka,
}
