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
from understudies.runtime import Bus, BusSettings, Flow, Record
from understudies.runtime.bus import Handler, Offsets
from understudies.runtime.message import Message
from understudies.runtime.poison import PoisonLimit

_PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


class _Exchange:
    """The topics of one platform, and who listens to them."""

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, int]] = Counter()
        self.listeners: defaultdict[str, list[MemoryBus]] = defaultdict(list)

    def put(self, message: Message) -> None:
        partition = crc32(message.key or b"") % _PARTITIONS.get(message.topic, 1)
        where = (message.topic, partition)
        record = Record(message.topic, partition, self.ends[where], message.key, message.value, message.headers)
        self.ends[where] += 1
        for bus in self.listeners[message.topic]:
            bus.put(record)


_exchanges: dict[str, _Exchange] = {}


class MemoryBus(Bus):
    """One service's connection to the topics of its process."""

    def __init__(
        self, settings: BusSettings, service: str, flow: Flow | None = None, *, tracer: Tracer | None = None
    ) -> None:
        self.service, self.settings = service, settings
        self._flow = flow
        self._tracer = tracer or NoOpTracer()
        self._limit = PoisonLimit()
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self._exchange = _exchanges.setdefault(settings.generation, _Exchange())
        self._handler: Handler | None = None
        self._max_records = 0
        self._waiting: list[Record] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def consume(
        self, topics: Sequence[Topic], handler: Handler, *, max_records: int = 2000, start: Offsets | None = None
    ) -> None:
        self._handler, self._max_records = handler, max_records
        for topic in topics:
            self._exchange.listeners[topic.name].append(self)
        if self._flow is not None:
            self._flow.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        if self._handler is not None and self._task is None:
            self._task = asyncio.create_task(self._consume(self._handler))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._flow is not None:
            self._flow.forget(self.service)
        self._ended.set()

    async def ends(self, done: Offsets) -> Offsets:
        return dict(self._exchange.ends)

    async def committed(self) -> Offsets:
        return {}

    def put(self, record: Record) -> None:
        """Take a record that was published."""
        self._waiting.append(record)
        self._news.set()

    async def _send(self, messages: Sequence[Message]) -> None:
        self._count(Counter(message.topic for message in messages))
        for message in messages:
            self._exchange.put(message)

    async def _consume(self, handler: Handler) -> None:
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
            self._settle(batch)


class _NoBroker:
    """Stands in for the embedded broker."""

    _made = 0

    def __init__(self, elsewhere: str = "") -> None:
        _NoBroker._made += 1
        self.settings = BusSettings(
            bootstrap="memory", group_prefix=None, generation=f"memory-{_NoBroker._made}", replication_factor=1
        )

    async def __aenter__(self) -> "_NoBroker":
        return self

    async def __aexit__(self, *failure: object) -> None:
        _exchanges.pop(self.settings.generation, None)


async def _nothing(*_: Any) -> None:
    """There are no topics to make."""


@contextmanager
def in_memory() -> Iterator[None]:
    """Platforms that are started meanwhile have their bus in this process."""
    where = "understudies.embedded.platform"
    with (
        mock.patch(f"{where}.Bus", MemoryBus),
        mock.patch(f"{where}.EmbeddedBroker", _NoBroker),
        mock.patch(f"{where}.ensure_topics", _nothing),
    ):
        yield
