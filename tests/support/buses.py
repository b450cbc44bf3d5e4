"""Buses to test against: each broker there is, and the bus in memory; and what strangers put on them or read there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from opentelemetry.trace import Tracer
from tests.support.brokers import BROKERS, BrokerFactory

from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.memory_bus import MemoryBus, MemoryTopics
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.settings import BusSettings

SECONDS = 30

DeadLetter = tuple[bytes, dict[str, bytes]]
"""Value and headers."""


class Topics(Protocol):
    """Topics that services connect to."""

    settings: BusSettings

    def connect(self, service: str, *, tracer: Tracer | None = None, **updates: Any) -> Bus:
        """A service's bus, with some settings of its own."""
        ...

    async def send_raw(
        self, topic: str, *values: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes = b"raw"
    ) -> None:
        """Put bytes on a topic, as a stranger would."""
        ...

    async def read_dead_letters(self, n: int) -> list[DeadLetter]:
        """The last `n` dead letters."""
        ...


class KafkaTopics:
    """The topics of a broker."""

    def __init__(self, settings: BusSettings) -> None:
        self.settings = settings

    def connect(self, service: str, *, tracer: Tracer | None = None, **updates: Any) -> Bus:
        return KafkaBus(self.settings.model_copy(update=updates), service, tracer=tracer)

    async def send_raw(
        self, topic: str, *values: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes = b"raw"
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
        await producer.start()
        for value in values:
            await producer.send_and_wait(topic, value, key=key, headers=list(headers))
        await producer.stop()

    async def read_dead_letters(self, n: int) -> list[DeadLetter]:
        consumer = AIOKafkaConsumer(
            DEAD_LETTERS, bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        letters: list[DeadLetter] = []
        try:
            async with asyncio.timeout(SECONDS):
                while len(letters) < n:
                    letter = await consumer.getone()
                    letters.append((letter.value, dict(letter.headers)))
        finally:
            await consumer.stop()
        return letters[-n:]


class InMemoryTopics:
    """The topics of this process."""

    def __init__(self) -> None:
        self.settings = BusSettings(bootstrap="memory", group_prefix=None)
        self.topics = MemoryTopics()
        self.topics.join(self, [DEAD_LETTERS])

    def connect(self, service: str, *, tracer: Tracer | None = None, **updates: Any) -> Bus:
        return MemoryBus(self.topics, self.settings.model_copy(update=updates), service, tracer=tracer)

    async def send_raw(
        self, topic: str, *values: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes = b"raw"
    ) -> None:
        for value in values:
            self.topics.append(BusMessage(topic, value or b"", key, tuple(headers)))

    async def read_dead_letters(self, n: int) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        async with asyncio.timeout(SECONDS):
            while len(letters) < n:
                records, places = await self.topics.read(self, n)
                self.topics.acknowledge(self, places)
                letters += [(record.value, dict(record.headers)) for record in records]
        return letters[-n:]


@asynccontextmanager
async def open_topics(open_broker: BrokerFactory) -> AsyncIterator[KafkaTopics]:
    """The topics of a broker that a factory opens."""
    async with open_broker() as settings:
        yield KafkaTopics(settings)


@asynccontextmanager
async def open_memory() -> AsyncIterator[InMemoryTopics]:
    """Topics in memory."""
    yield InMemoryTopics()


BUSES: dict[str, Callable[[], AbstractAsyncContextManager[Topics]]] = {
    **{name: partial(open_topics, factory) for name, factory in BROKERS.items()},
    "memory": open_memory,
}
