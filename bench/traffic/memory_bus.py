"""A bus inside the process: the same events in the same order as on a broker, without its clients' polling.

On a short log nearly half of a backtest's time is spent in asking an embedded broker for news. The services cannot
tell the difference; `bench/trust.py --broker` plays with the real one, to the same figures.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock
from zlib import crc32

from opentelemetry.trace import NoOpTracer, Tracer

from understudies.events import TOPICS, Topic
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import DeadLetterLimit
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record
from understudies.runtime.settings import BusSettings

_PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


class _InMemoryTopics:
    """The topics of one platform, and who listens to them."""

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, int]] = Counter()
        self.listeners: defaultdict[str, list[MemoryBus]] = defaultdict(list)

    def put(self, message: BusMessage) -> None:
        partition = crc32(message.key or b"") % _PARTITIONS.get(message.topic, 1)
        where = (message.topic, partition)
        record = Record(message.topic, partition, self.ends[where], message.key, message.value, message.headers)
        self.ends[where] += 1
        for bus in self.listeners[message.topic]:
            bus.put(record)


_topics_by_generation: dict[str, _InMemoryTopics] = {}


class MemoryBus(Bus):
    """One service's connection to the topics of its process."""

    def __init__(
        self,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.service, self.settings = service, settings
        self._in_flight = in_flight
        self._tracer = tracer or NoOpTracer()
        self._dead_letter_limit = DeadLetterLimit()
        self._failure: BaseException | None = None
        self._stopped = asyncio.Event()
        self._exchange = _topics_by_generation.setdefault(settings.generation, _InMemoryTopics())
        self._handler: BatchHandler | None = None
        self._max_records = 0
        self._waiting: list[Record] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def consume(
        self, topics: Sequence[Topic], handler: BatchHandler, *, max_records: int = 2000, start: Offsets | None = None
    ) -> None:
        self._handler, self._max_records = handler, max_records
        for topic in topics:
            self._exchange.listeners[topic.name].append(self)
        if self._in_flight is not None:
            self._in_flight.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        if self._handler is not None and self._task is None:
            self._task = asyncio.create_task(self._consume(self._handler))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._in_flight is not None:
            self._in_flight.unregister(self.service)
        self._stopped.set()

    async def fetch_end_offsets(self, consumed: Offsets) -> Offsets:
        return dict(self._exchange.ends)

    async def fetch_committed_offsets(self) -> Offsets:
        return {}

    def put(self, record: Record) -> None:
        """Take a record that was published."""
        self._waiting.append(record)
        self._news.set()

    async def _send(self, messages: Sequence[BusMessage]) -> None:
        self._record_published(Counter(message.topic for message in messages))
        for message in messages:
            self._exchange.put(message)

    async def _consume(self, handler: BatchHandler) -> None:
        while True:
            await self._news.wait()
            batch = self._waiting[: self._max_records]
            del self._waiting[: self._max_records]
            if not self._waiting:
                self._news.clear()
            try:
                await handler(batch)
            except Exception as error:  # noqa: BLE001 - whoever drives the play gets it
                self._fail(error)
                return
            self._record_consumed(batch)


class _NoBroker:
    """Stands in for the embedded broker."""

    _made = 0

    def __init__(self, alternative: str = "") -> None:
        _NoBroker._made += 1
        self.settings = BusSettings(
            bootstrap="memory", group_prefix=None, generation=f"memory-{_NoBroker._made}", replication_factor=1
        )

    async def __aenter__(self) -> "_NoBroker":
        return self

    async def __aexit__(self, *failure: object) -> None:
        _topics_by_generation.pop(self.settings.generation, None)


async def _do_nothing(*_: Any) -> None:
    """There are no topics to make."""


@contextmanager
def use_memory_bus() -> Iterator[None]:
    """Platforms that are started meanwhile have their bus in this process."""
    where = "understudies.embedded.platform"
    with (
        mock.patch(f"{where}.Bus", MemoryBus),
        mock.patch(f"{where}.EmbeddedBroker", _NoBroker),
        mock.patch(f"{where}.ensure_topics", _do_nothing),
    ):
        yield
