"""Publish and consume inside one process, where no event has to outlive it: a backtest needs no broker."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

from opentelemetry.trace import Tracer

from understudies.events import TOPICS, Topic
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record
from understudies.runtime.bus.partition_sender import check_size
from understudies.runtime.bus.publisher import find_partition
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings
from understudies.runtime.telemetry import batch_span

_FORGET_AT_ONCE = 1000
"""Handled records that are removed together: each removal moves the records behind it."""
_PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}


class MemoryTopics:
    """The topics of one process, as one log in the order of publication; it forgets what every consumer has handled.

    A consumer that joins later reads from the oldest record that is still there.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._first = 0
        self._ends: Counter[tuple[str, int]] = Counter()
        self._cursors: dict[object, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of records that are kept."""
        return len(self._records)

    @property
    def ends(self) -> Offsets:
        """The offset of the next record, by topic and partition."""
        return dict(self._ends)

    def append(self, message: BusMessage) -> None:
        """Add a message; everyone who waits in `read` is woken."""
        partition = find_partition(message.key, range(_PARTITIONS.get(message.topic, 1)))
        where = (message.topic, partition)
        self._records.append(Record(*where, self._ends[where], message.key, message.value, message.headers))
        self._ends[where] += 1
        self._changed.set()

    def join(self, consumer: object) -> None:
        """Keep what this consumer has not handled, from the oldest record on."""
        self._cursors.setdefault(consumer, self._first)

    def leave(self, consumer: object) -> None:
        """Keep nothing for this consumer any more."""
        self._cursors.pop(consumer, None)
        self._forget()

    async def read(self, consumer: object, topics: frozenset[str], most: int) -> tuple[list[Record], int]:
        """Wait for records of the topics; return at most `most`, and the place behind them for `acknowledge`."""
        while True:
            place, found = self._cursors[consumer], list[Record]()
            while place < self._first + len(self._records) and len(found) < most:
                record = self._records[place - self._first]
                if record.topic in topics:
                    found.append(record)
                place += 1
            if found:
                return found, place
            self.acknowledge(consumer, place)
            # Nothing is awaited since the end of the log was seen, so no record is missed.
            self._changed.clear()
            await self._changed.wait()

    def acknowledge(self, consumer: object, place: int) -> None:
        """Count the records before the place as handled."""
        self._cursors[consumer] = place
        self._forget()

    def _forget(self) -> None:
        if not self._cursors:
            return
        done = min(self._cursors.values()) - self._first
        if done >= _FORGET_AT_ONCE or done == len(self._records):
            del self._records[:done]
            self._first += done


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
        self._topics.join(self)
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
        problems = [check_size(message) for message in messages]
        for message, problem in zip(messages, problems, strict=True):
            if problem is None:
                self._topics.append(message)
        return problems

    async def _consume(self, handler: BatchHandler) -> None:
        while not self._stopping.is_set():
            records, place = await self._topics.read(self, self._consumed_topics, self._max_records)
            async with self._handling:
                try:
                    with batch_span(self._tracer, self.service, records):
                        await handler(records)
                except Exception as error:  # noqa: BLE001 - the batch comes again, or the service stops with the error
                    await self._back_off(error)
                    continue
                self._attempts = 0
                self._topics.acknowledge(self, place)
                self._record_consumed(records)
