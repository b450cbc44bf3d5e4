"""Brokers to test against: a fresh embedded one, and Apache Kafka where the environment names its jars."""

import atexit
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from tests.support.kafka import Kafka

from understudies.runtime import BusSettings, EmbeddedBroker

OpenBroker = Callable[[], AbstractAsyncContextManager[BusSettings]]


@asynccontextmanager
async def embedded() -> AsyncIterator[BusSettings]:
    """An embedded broker, read without groups."""
    async with EmbeddedBroker() as broker:
        yield broker.settings


@asynccontextmanager
async def embedded_with_groups() -> AsyncIterator[BusSettings]:
    """An embedded broker, read by groups; joining one takes it five seconds."""
    async with EmbeddedBroker() as broker:
        yield broker.settings.model_copy(update={"group_prefix": "test"})


@cache
def _shared() -> Kafka:
    """One Kafka for all tests of a run: it takes some seconds to start."""
    broker = Kafka()
    atexit.register(broker.stop)
    broker.start()
    return broker


@asynccontextmanager
async def kafka() -> AsyncIterator[BusSettings]:
    """Apache Kafka without topics, with groups of this test's own."""
    broker = _shared()
    await broker.emptied()
    yield BusSettings(bootstrap=broker.bootstrap, group_prefix=f"test-{uuid.uuid4().hex}", fetch_max_wait_ms=10)


BROKERS: dict[str, OpenBroker] = {
    "embedded": embedded,
    "embedded_with_groups": embedded_with_groups,
    "kafka": kafka,
}
