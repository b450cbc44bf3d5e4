"""Brokers to test against: a fresh embedded one, and Apache Kafka, in a container or where its jars are named."""

import atexit
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from tests.support.containers import KAFKA_IMAGE, has_image, shared_kafka_container
from tests.support.kafka_server import KafkaServer, delete_topics

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
def _shared_kafka() -> str:
    """The address of one Kafka for all tests of a run, in a container or from jars: it takes some seconds to start."""
    if has_image(KAFKA_IMAGE):
        return shared_kafka_container()
    broker = KafkaServer()
    atexit.register(broker.stop)
    broker.start()
    return broker.bootstrap


@asynccontextmanager
async def open_kafka() -> AsyncIterator[BusSettings]:
    """Apache Kafka without topics, with groups of this test's own."""
    bootstrap = _shared_kafka()
    await delete_topics(bootstrap)
    yield BusSettings(bootstrap=bootstrap, group_prefix=f"test-{uuid.uuid4().hex}", fetch_max_wait_ms=10)


BROKERS: dict[str, BrokerFactory] = {
    "embedded": open_embedded,
    "embedded_with_groups": open_embedded_with_groups,
    "kafka": open_kafka,
}
