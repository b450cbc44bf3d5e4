"""Brokers to test against: a fresh embedded one, and a real Kafka where the environment names one."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

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


@asynccontextmanager
async def kafka() -> AsyncIterator[BusSettings]:
    """The Kafka broker at UNDERSTUDIES_TEST_KAFKA, with groups of this test's own."""
    yield BusSettings(
        bootstrap=os.environ["UNDERSTUDIES_TEST_KAFKA"], group_prefix=f"test-{uuid.uuid4().hex}", fetch_max_wait_ms=10
    )


BROKERS: dict[str, OpenBroker] = {"embedded": embedded, "embedded_with_groups": embedded_with_groups}
if "UNDERSTUDIES_TEST_KAFKA" in os.environ:
    BROKERS["kafka"] = kafka
