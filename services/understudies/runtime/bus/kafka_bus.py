"""Publish to Kafka and consume from it."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from aiokafka import ConsumerRebalanceListener, ConsumerRecord
from aiokafka import TopicPartition as Position
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.kafka.message import KafkaAckableMessage
from opentelemetry.trace import Tracer

from understudies.events import Event, Topic
from understudies.runtime.bus.admin import bootstrap_servers, build_security, ensure_topics, fetch_end_offsets
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record
from understudies.runtime.bus.publisher import Publisher, Undeliverable
from understudies.runtime.bus.single_owner import SingleOwnerAssignor
from understudies.runtime.bus.task_partition import PARTITIONED_NAMES, TaskPartition
from understudies.runtime.bus.topic_ids import fetch_topic_ids
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings
from understudies.runtime.telemetry import batch_span
from understudies.runtime.throttle import Throttle

# After an empty poll FastStream sleeps for the same time again, while records arrive: poll for a year instead.
_POLL_TIMEOUT_MS: Final = 365 * 86_400_000
_MAX_POLL_INTERVAL_MS: Final = 12 * 86_400_000
_REBALANCE_TIMEOUT_MS: Final = 60_000
_TOPIC_CHECK_S: Final = 10.0
"""Pause between checks that the topics are those that are read: a request to one broker."""
_LOOK_PATIENCE_S: Final = 2.0
"""Longest wait at the stop for such a check that is under way."""
_ABSENCES_OF_A_DELETED_TOPIC: Final = 3
"""Checks in a row at which a topic is missing until it counts as deleted; one with another id counts at once."""

log = logging.getLogger(__name__)


class KafkaBus(Bus):
    """Connection of one service to the topics of a Kafka broker."""

    def __init__(
        self,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
        instance: str | None = None,
        partition: TaskPartition | None = None,
        require_owned: Callable[[], None] | None = None,
    ) -> None:
        """`instance` names the process over its restarts: the group then need not wait for one that was killed.

        With a `partition` the bus joins no group: it reads that partition alone of the topics that are keyed by task,
        and its service gets the events of the tasks that belong there. `require_owned` is asked in a thread before
        anything is published, and raises StopService once another process has that partition.
        """
        super().__init__(settings, service, in_flight, tracer=tracer)
        self._instance = instance
        self._partition = partition
        self._require_owned = require_owned
        self._is_member = settings.group_prefix is not None and partition is None
        self._misplaced_throttle = Throttle()
        self._moved = Counter[str]()
        """Below which offset of its partition the events of other tasks have been moved, by topic."""
        self._start_offsets: Callable[[], Offsets] = dict
        self._on_assigned: Callable[[Offsets], Awaitable[None]] | None = None
        self._on_revoked: Callable[[], Awaitable[None]] | None = None
        self._assignments = 0
        self._is_assigned = False
        self._subscriber: Any = None
        self._topics: tuple[str, ...] = ()
        self._topic_ids: dict[str, str] = {}
        self._topic_watch: asyncio.Task[None] | None = None
        self._publisher = Publisher(settings, f"understudies-{service}")
        self._broker = KafkaBroker(
            bootstrap_servers(settings),
            client_id=f"understudies-{service}",
            consumer_only=True,
            allow_auto_create_topics=False,
            security=build_security(settings),
            apply_types=False,
            logger=None,
        )

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
        """Call `handler` with batches of the topics' records, once `start()` has connected.

        The handler gets one batch at a time, in order within a partition. Whenever the group makes this process its
        owner, it begins at the offsets that `start` returns then, which override the committed ones; `on_assigned` is
        awaited with the offsets at which the other partitions begin. `on_revoked` is awaited before another process may
        become the owner.
        """
        if self._subscriber is not None:
            raise RuntimeError(f"service {self.service!r} already consumes topics; pass all topics in one call")
        self._start_offsets, self._on_assigned, self._on_revoked = start, on_assigned, on_revoked
        self._topics = tuple(topic.name for topic in topics)
        names, membership = self._membership(topics)
        self._subscriber = self._broker.subscriber(
            *names,
            batch=True,
            auto_offset_reset="earliest",
            parser=self._parse,
            decoder=_passthrough_decoder,
            max_records=max_records,
            batch_timeout_ms=_POLL_TIMEOUT_MS,
            fetch_max_wait_ms=self.settings.fetch_max_wait_ms,
            fetch_min_bytes=self.settings.fetch_min_bytes,
            fetch_max_bytes=2 * MAX_MESSAGE_BYTES,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            no_reply=True,
            **membership,
        )
        self._subscriber(self._make_deliver(handler))
        if self._in_flight is not None:
            self._in_flight.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        """Connect and begin to consume; raises RetryLater while the broker is unavailable, and may be called again.

        Raises ConfigurationError if members of the group deal its partitions out in another way.
        """
        await ensure_topics(self.settings)
        if self._topics:
            # Before the consumer starts, which asks for the offsets to begin at.
            self._topic_ids = await fetch_topic_ids(self.settings, self._topics)
        await self._publisher.start()
        try:
            await self._broker.start()
        except BaseException as error:
            await self._publisher.stop()
            if isinstance(error, InconsistentGroupProtocolError):
                raise ConfigurationError(
                    f"group {self.settings.group_prefix}-{self.service} has members that share its work otherwise: "
                    "start this process as them, with --partitioned if they have it, or stop them first"
                ) from error
            if isinstance(error, KafkaError | OSError):
                raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
            raise
        if self._subscriber is not None and not self._is_member:
            begin = self._start_offsets()
            # Consumption begins at offset 0 anyway; seeking there could deliver records a second time.
            self._seek_to({where: offset for where, offset in begin.items() if offset > 0})
            if self._partition is not None and self._on_assigned is not None:
                await self._on_assigned(begin)
            self._mark_assigned(assigned=True)
        if self._topic_ids:
            self._topic_watch = asyncio.get_running_loop().create_task(self._watch_topics())

    @property
    def topic_ids(self) -> Mapping[str, str]:
        return self._topic_ids

    async def _watch_topics(self) -> None:
        """Look now and then for a topic that was deleted: the consumer goes on at its offset as if nothing had been."""
        absences: dict[str, int] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TOPIC_CHECK_S)
            if self._stopping.is_set():
                return
            try:
                found = await fetch_topic_ids(self.settings, self._topics)
            except RetryLater:
                continue
            # A broker that has just started may not know of a topic yet, which stands unharmed on the others.
            absences = {name: absences.get(name, 0) + 1 for name in self._topic_ids if name not in found}
            changed = sorted(
                name
                for name, id_ in self._topic_ids.items()
                if found.get(name, id_) != id_ or absences.get(name, 0) >= _ABSENCES_OF_A_DELETED_TOPIC
            )
            if changed and self.settings.group_prefix is not None:
                error = StopService(
                    f"topics {changed} were deleted while {self.service} read them: start it again, and it makes "
                    "those that are missing, unless UNDERSTUDIES_BUS_CREATE_TOPICS forbids it, and reads them from the "
                    "beginning"
                )
                log.critical("%s stops: %s", self.service, error)
                self._fail(error)
                return
            self._start_over([name for name in changed if name in found])
            self._topic_ids |= {name: found[name] for name in changed if name in found}

    def _start_over(self, topics: Sequence[str]) -> None:
        """Read topics that were made anew from their beginning, where no group keeps the offsets."""
        for topic in topics:
            log.error("%s reads topic %r from its beginning: it was deleted and made anew", self.service, topic)
            for where in self._subscriber.consumer.assignment():
                if where.topic == topic:
                    self._subscriber.consumer.seek(where, 0)

    async def stop(self) -> None:
        """Let the running handler finish, then disconnect, and leave the group at once."""
        self._stopping.set()
        if self._topic_watch is not None:
            # A request that is cancelled while it connects would leave its connection open.
            await asyncio.wait({self._topic_watch}, timeout=_LOOK_PATIENCE_S)
            self._topic_watch.cancel()
            await asyncio.wait({self._topic_watch})
        if self._instance is not None and self._subscriber is not None and self._subscriber.consumer is not None:
            # As a named member it would stay in the group until its session expires, and keep others waiting.
            self._subscriber.consumer._coordinator._group_instance_id = None
        await self._broker.stop()
        await self._publisher.stop()
        if self._in_flight is not None:
            self._in_flight.unregister(self.service)
        self._stopped.set()

    @property
    def assignment_count(self) -> int:
        return self._assignments if self._is_assigned else 0

    def _mark_assigned(self, *, assigned: bool) -> None:
        self._is_assigned = assigned
        self._assignments += assigned

    async def fetch_end_offsets(self, consumed: Offsets, topics: Collection[Topic] | None = None) -> Offsets:
        """Return the end offsets of the partitions of `topics` that this service reads, reading on from `consumed`.

        Raises RetryLater while the broker is unavailable.
        """
        names = None if topics is None else {topic.name for topic in topics}
        below = {
            where: consumed.get((where.topic, where.partition), 0)
            for where in self._subscriber.consumer.assignment()
            if names is None or where.topic in names
        }
        try:
            ends = await fetch_end_offsets(self.settings, below)
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in ends.items()}

    def known_end_offsets(self) -> Offsets:
        if self._subscriber is None:
            return {}
        consumer = self._subscriber.consumer
        if consumer is None:
            return {}
        ends = {where: consumer.highwater(where) for where in consumer.assignment()}
        return {(where.topic, where.partition): end for where, end in ends.items() if end is not None}

    async def fetch_committed_offsets(self) -> Offsets:
        """Return the committed offsets of this service's group by partition; empty if it consumes without a group.

        Raises RetryLater while the broker is unavailable.
        """
        if not self._is_member:
            return {}
        consumer = self._subscriber.consumer
        try:
            committed = {where: await consumer.committed(where) for where in consumer.assignment()}
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in committed.items() if offset is not None}

    async def _keep_own(self, decoded: Sequence[tuple[Record, Event]]) -> list[Event]:
        """Return the events of this partition's tasks; place anew those that its producer put into a wrong one."""
        own = self._partition
        if own is None:
            return await super()._keep_own(decoded)
        events: list[Event] = []
        misplaced: list[tuple[Record, Event]] = []
        for record, event in decoded:
            if own.owns(event.task):
                events.append(event)
            elif record.topic in PARTITIONED_NAMES and record.offset >= self._moved[record.topic]:
                # One without an offset comes from the store, which has the events of all tasks.
                misplaced.append((record, event))
        if misplaced:
            await self._move(misplaced)
        return events

    async def _move(self, misplaced: Sequence[tuple[Record, Event]]) -> None:
        """Publish events of other tasks to those tasks' partitions, each once, however often its batch is handled."""
        topic = misplaced[0][0].topic
        if self._misplaced_throttle():
            log.warning(
                "%s moves %d events to their tasks' partitions, the first of %r: their producer chose others; "
                "have it choose by the key with murmur2, as Kafka's own clients do (partitioner=murmur2_random in "
                "librdkafka)",
                self.service,
                len(misplaced),
                topic,
            )
        try:
            await self.publish_encoded(
                [
                    BusMessage(record.topic, record.value, event.task.encode("utf-8", "surrogatepass"), record.headers)
                    for record, event in misplaced
                ]
            )
        except Undeliverable as error:
            # It would hold up all others for ever.
            await self.dead_letter_events([misplaced[index][1] for index in error.rejected], str(error))
        for record, _ in misplaced:
            self._moved[record.topic] = record.offset + 1

    async def _deliver(self, messages: Sequence[BusMessage]) -> Sequence[BaseException | None]:
        if self._require_owned is not None:
            # A tick may have waited for a long batch, or the process stood still, since its state was its own.
            await asyncio.to_thread(self._require_owned)
        return await self._publisher.send(messages)

    def _membership(self, topics: Sequence[Topic]) -> tuple[list[str], dict[str, Any]]:
        """Return topics and consumer options: a group commits after the handler; without one, read all partitions."""
        if not self._is_member:
            read = self._partition.numbers if self._partition else _all_partitions
            partitions = [TopicPartition(topic.name, number) for topic in topics for number in read(topic)]
            return [], {"partitions": partitions, "group_id": None, "ack_policy": AckPolicy.MANUAL}
        return [topic.name for topic in topics], {
            "group_id": f"{self.settings.group_prefix}-{self.service}",
            "ack_policy": AckPolicy.NACK_ON_ERROR,
            "listener": _Ownership(self),
            "partition_assignment_strategy": [SingleOwnerAssignor.for_member()],
            "group_instance_id": self._instance,
            # A batch may take hours, such as a training. A process that is gone is noticed by its heartbeats.
            "max_poll_interval_ms": _MAX_POLL_INTERVAL_MS,
            "rebalance_timeout_ms": _REBALANCE_TIMEOUT_MS,
        }

    async def _parse(self, raw: tuple[Any, ...]) -> KafkaAckableMessage:
        """Build a message without decoding its headers: a header that is not UTF-8 must not fail the batch."""
        return KafkaAckableMessage(raw_message=raw, body=b"", consumer=self._subscriber.consumer)

    def _seek_to(self, offsets: Offsets) -> None:
        for (topic, partition), offset in offsets.items():
            self._subscriber.consumer.seek(Position(topic, partition), offset)

    def _make_deliver(self, handler: BatchHandler) -> Callable[[KafkaAckableMessage], Awaitable[None]]:
        async def deliver(message: KafkaAckableMessage) -> None:
            received = cast("tuple[ConsumerRecord[Any, Any], ...]", message.raw_message)
            records = [_to_record(raw) for raw in received]
            message.raw_message, received = _places_of(received), ()
            try:
                with batch_span(self._tracer, self.service, records):
                    await handler(records)
            except Exception as error:
                await self._back_off(error)
                await message.nack()
                raise
            self._attempts = 0
            self._record_consumed(records)

        return deliver


class _Ownership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Begin at the state's own offsets whenever partitions are assigned, and note whether there are any."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus = bus

    async def on_partitions_revoked(self, revoked: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        """Let the service finish what it publishes before another process goes on."""
        self._bus._mark_assigned(assigned=False)
        if revoked and self._bus._on_revoked is not None:
            await self._bus._on_revoked()

    async def on_partitions_assigned(self, assigned: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        start = self._bus._start_offsets()
        begin = {where: offset for where, offset in start.items() if Position(*where) in assigned}
        self._bus._seek_to(begin)
        if assigned and self._bus._on_assigned is not None:
            others = [where for where in assigned if (where.topic, where.partition) not in begin]
            consumer = self._bus._subscriber.consumer
            committed = {(where.topic, where.partition): await consumer.committed(where) or 0 for where in others}
            await self._bus._on_assigned(committed)
        if assigned:
            self._bus._mark_assigned(assigned=True)
        else:
            log.info("%s stands by: another process of its group does the work", self._bus.service)


def _places_of(received: "Sequence[ConsumerRecord[Any, Any]]") -> "tuple[ConsumerRecord[Any, Any], ...]":
    """Return each partition's first record without its content, which is all that a refusal needs.

    FastStream keeps the message in a context variable. Every timer that is set meanwhile, such as that of a request to
    the broker, holds a copy of the context, and asyncio keeps up to a hundred cancelled ones: a hundred batches.
    """
    first: dict[tuple[str, int], ConsumerRecord[Any, Any]] = {}
    for raw in received:
        known = first.get((raw.topic, raw.partition))
        if known is None or raw.offset < known.offset:
            first[raw.topic, raw.partition] = raw
    return tuple(replace(raw, key=None, value=None, headers=()) for raw in first.values())


def _all_partitions(topic: Topic) -> Sequence[int]:
    return range(topic.partitions)


def _to_record(raw: "ConsumerRecord[Any, Any]") -> Record:
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value or b"", raw.headers)


async def _passthrough_decoder(message: KafkaAckableMessage) -> KafkaAckableMessage:
    return message
