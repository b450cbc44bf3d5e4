"""Publish and consume inside one process: `understudies up` and a backtest need no broker."""

import asyncio
import heapq
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

from opentelemetry.trace import Tracer

from understudies.events import INVOCATIONS, TOPICS, Topic
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, EventCache, Offsets, Record
from understudies.runtime.bus.partition_sender import check_size
from understudies.runtime.bus.publisher import find_partition
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings
from understudies.runtime.telemetry import batch_span

_FORGET_AT_ONCE: Final = 1000
"""Handled records that are removed together: each removal moves the records behind it."""
_UNREAD: Final = 1000
"""Records that are kept of a topic that no service reads, such as the dead letters."""
_PARTITIONS: Final = {topic.name: topic.partitions for topic in TOPICS}

Places = Mapping[str, int]
"""The place behind the last handled record, by topic."""


class _TopicLog:
    """The kept records of a topic, each with its number in the order of publication across topics."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, Record]] = []
        self.first = 0
        self.size = 0

    @property
    def end(self) -> int:
        return self.first + len(self.entries)

    def append(self, number: int, record: Record) -> None:
        self.entries.append((number, record))
        self.size += len(record.value)

    def read(self, place: int, most: int) -> list[tuple[int, Record]]:
        begin = max(place - self.first, 0)
        return self.entries[begin : begin + most]

    def forget(self, place: int) -> None:
        """Remove the records before a place; where others are behind them, only many at once."""
        done = place - self.first
        if done > 0 and (done >= _FORGET_AT_ONCE or done == len(self.entries)):
            self.size -= sum(len(record.value) for _, record in islice(self.entries, done))
            del self.entries[:done]
            self.first += done


class MemoryTopics:
    """The topics of one process; each forgets what all who consume it have handled.

    A consumer that joins later reads from the oldest record that is still there. While more than `max_call_bytes` of
    calls wait to be handled, no further ones are taken: the router keeps them on disk. Other events are few, and are
    what the services need in order to go on.
    """

    def __init__(self, max_call_bytes: int | None = None) -> None:
        self._max_call_bytes = max_call_bytes
        self._logs: defaultdict[str, _TopicLog] = defaultdict(_TopicLog)
        self._ends: Counter[tuple[str, int]] = Counter()
        self._cursors: dict[object, dict[str, int]] = {}
        self._appended = 0
        self._events = EventCache()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of records that are kept."""
        return sum(len(log.entries) for log in self._logs.values())

    @property
    def ends(self) -> Offsets:
        """The offset of the next record, by topic and partition."""
        return dict(self._ends)

    def is_full(self, topic: str) -> bool:
        """Return whether no more records of a topic are taken for now."""
        return (
            topic == INVOCATIONS.name
            and self._max_call_bytes is not None
            and self._logs[topic].size >= self._max_call_bytes
        )

    def append(self, message: BusMessage) -> None:
        """Add a message; everyone who waits in `read` is woken."""
        partition = find_partition(message.key, range(_PARTITIONS.get(message.topic, 1)))
        where = (message.topic, partition)
        record = Record(*where, self._ends[where], message.key, message.value, message.headers, self._events)
        log = self._logs[message.topic]
        log.append(self._appended, record)
        self._appended += 1
        self._ends[where] += 1
        if message.topic not in _PARTITIONS and len(log.entries) >= 2 * _UNREAD:
            self._forget(message.topic)
        self._changed.set()

    def join(self, consumer: object, topics: Iterable[str]) -> None:
        """Keep what this consumer has not handled of the topics, from the oldest record on."""
        self._cursors.setdefault(consumer, {topic: self._logs[topic].first for topic in topics})

    def leave(self, consumer: object) -> None:
        """Keep nothing for this consumer any more."""
        for topic in self._cursors.pop(consumer, {}):
            self._forget(topic)

    def unhandled(self, consumer: object) -> list[Record]:
        """Return the records that a consumer has not handled yet, topic by topic."""
        places = self._cursors.get(consumer, {})
        return [record for topic, place in places.items() for _, record in self._logs[topic].read(place, len(self))]

    async def read(self, consumer: object, most: int) -> tuple[list[Record], Places]:
        """Wait for records of the consumer's topics; return at most `most`, and the places for `acknowledge`.

        They are in the order of publication, across topics too.
        """
        while True:
            places = self._cursors[consumer]
            waiting = [log.read(place, most) for topic, place in places.items() if (log := self._logs[topic]).entries]
            waiting = [entries for entries in waiting if entries]
            if waiting:
                merged = waiting[0] if len(waiting) == 1 else islice(heapq.merge(*waiting, key=itemgetter(0)), most)
                found = [record for _, record in merged]
                counts = Counter(record.topic for record in found)
                return found, {topic: place + counts[topic] for topic, place in places.items()}
            # Nothing is awaited since the end of the logs was seen, so no record is missed.
            self._changed.clear()
            await self._changed.wait()

    def acknowledge(self, consumer: object, places: Places) -> None:
        """Count the records before the places as handled."""
        self._cursors[consumer] = dict(places)
        for topic in places:
            self._forget(topic)

    def _forget(self, topic: str) -> None:
        log = self._logs[topic]
        places = [cursors[topic] for cursors in self._cursors.values() if topic in cursors]
        if places:
            log.forget(min(places))
        elif topic not in _PARTITIONS:
            log.forget(log.end - _UNREAD)


class MemoryBus(Bus):
    """Connection of one service to the topics of its process."""

    def __init__(
        self,
        topics: MemoryTopics,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(settings, service, in_flight, tracer=tracer)
        self._topics = topics
        self._consumed_topics: frozenset[str] = frozenset()
        self._max_records = 0
        self._handler: BatchHandler | None = None
        self._task: asyncio.Task[None] | None = None
        self._handling = asyncio.Lock()
        self._left: list[Record] = []

    @property
    def unhandled(self) -> Sequence[Record]:
        """The records that its service has not handled; once it is stopped, those that it never will."""
        return self._left if self._stopped.is_set() else self._topics.unhandled(self)

    def expect(self, topics: Sequence[Topic]) -> None:
        """Keep the records of topics for this service until it consumes them, whoever begins before it."""
        self._topics.join(self, [topic.name for topic in topics])

    def consume(
        self,
        topics: Sequence[Topic],
        handler: BatchHandler,
        *,
        max_records: int = 2000,
        start: Callable[[], Offsets] = dict,
        on_assigned: Callable[[Offsets], Awaitable[None]] | None = None,
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Call `handler` with batches of the topics' records, once `start()` has been called.

        Batches are in the order of publication, across topics too. Raises ValueError for `start` offsets: no record
        outlives the process.
        """
        if self._handler is not None:
            raise RuntimeError(f"service {self.service!r} already consumes topics; pass all topics in one call")
        if any(start().values()):
            raise ValueError("a bus in memory cannot start at an offset: its records do not outlive the process")
        self._handler, self._max_records = handler, max_records
        self._consumed_topics = frozenset(topic.name for topic in topics)
        self._topics.join(self, self._consumed_topics)
        if self._in_flight is not None:
            self._in_flight.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        if self._handler is not None and self._task is None:
            self._task = asyncio.create_task(self._consume(self._handler))

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            async with self._handling:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._left = self._topics.unhandled(self)
        self._topics.leave(self)
        if self._in_flight is not None:
            self._in_flight.unregister(self.service)
        self._stopped.set()

    @property
    def assignment_count(self) -> int:
        return int(self._task is not None)

    async def fetch_end_offsets(self, consumed: Offsets, topics: Collection[Topic] | None = None) -> Offsets:
        names = self._consumed_topics if topics is None else {topic.name for topic in topics}
        return {where: end for where, end in self.known_end_offsets().items() if where[0] in names}

    def known_end_offsets(self) -> Offsets:
        ends = self._topics.ends
        mine = [(topic, n) for topic in self._consumed_topics for n in range(_PARTITIONS[topic])]
        return {where: ends.get(where, 0) for where in mine}

    async def fetch_committed_offsets(self) -> Offsets:
        return {}

    async def _deliver(self, messages: Sequence[BusMessage]) -> Sequence[BaseException | None]:
        if self._stopped.is_set():
            return [RetryLater("the bus has been stopped")] * len(messages)
        return [self._append(message) for message in messages]

    def _append(self, message: BusMessage) -> BaseException | None:
        if self._topics.is_full(message.topic):
            return RetryLater("the services have not handled the earlier calls yet")
        problem = check_size(message)
        if problem is None:
            self._topics.append(message)
        return problem

    async def _consume(self, handler: BatchHandler) -> None:
        while not self._stopping.is_set():
            records, places = await self._topics.read(self, self._max_records)
            async with self._handling:
                try:
                    with batch_span(self._tracer, self.service, records):
                        await handler(records)
                except Exception as error:  # noqa: BLE001 - the batch comes again, or the service stops with the error
                    await self._back_off(error)
                    continue
                self._attempts = 0
                self._topics.acknowledge(self, places)
                self._record_consumed(records)
