"""Publish events, and consume topics in batches, at least once."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, cast

from aiokafka import ConsumerRebalanceListener, ConsumerRecord
from aiokafka import TopicPartition as Position
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.kafka.message import KafkaAckableMessage
from opentelemetry.trace import NoOpTracer, Tracer

from understudies.events import Event, Topic
from understudies.runtime.bus.admin import bootstrap_servers, build_security, ensure_topics, fetch_end_offsets
from understudies.runtime.bus.dead_letters import DEAD_LETTERS, DeadLetterLimit, InvalidRecord, decode_records
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record, encode_message
from understudies.runtime.bus.publisher import NotDelivered, Publisher, Undeliverable
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings
from understudies.runtime.telemetry import batch_span, trace_headers

log = logging.getLogger(__name__)

# After an empty poll FastStream sleeps for the same time again, while records arrive: poll for a year instead.
_POLL_TIMEOUT_MS: Final = 365 * 86_400_000
_DECODE_BATCH: Final = 100
"""Records to decode before yielding to the event loop: a few milliseconds of work."""
_MIN_RETRY_DELAY_S: Final = 0.05
_MAX_RETRY_DELAY_S: Final = 30.0


class Bus:
    """Connection of one service to the topics."""

    def __init__(
        self,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.service = service
        self.settings = settings
        self._in_flight = in_flight
        self._tracer = tracer or NoOpTracer()
        self._dead_letter_limit = DeadLetterLimit()
        self._attempts = 0
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._stopped = asyncio.Event()
        self._seek_offsets: dict[Position, int] = {}
        self._subscriber: Any = None
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
        self, topics: Sequence[Topic], handler: BatchHandler, *, max_records: int = 2000, start: Offsets | None = None
    ) -> None:
        """Call `handler` with batches of the topics' records, once `start()` has connected.

        The handler gets one batch at a time, in order within a partition. `start` overrides the committed offsets.
        """
        if self._subscriber is not None:
            raise RuntimeError(f"service {self.service!r} already consumes topics; pass all topics in one call")
        self._seek_offsets = {Position(*where): offset for where, offset in (start or {}).items()}
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
            fetch_max_bytes=2 * MAX_MESSAGE_BYTES,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            no_reply=True,
            **membership,
        )
        self._subscriber(self._make_deliver(handler))
        if self._in_flight is not None:
            self._in_flight.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        """Connect and begin to consume; raises RetryLater while the broker is unavailable, and may be called again."""
        await ensure_topics(self.settings)
        await self._publisher.start()
        try:
            await self._broker.start()
        except BaseException as error:
            await self._publisher.stop()
            if isinstance(error, KafkaError | OSError):
                raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
            raise
        if self._subscriber is not None and self.settings.group_prefix is None:
            # Consumption begins at offset 0 anyway; seeking there could deliver records a second time.
            self._seek_to({where: offset for where, offset in self._seek_offsets.items() if offset > 0})

    async def stop(self) -> None:
        """Let the running handler finish, then disconnect."""
        self._stopping.set()
        await self._broker.stop()
        await self._publisher.stop()
        if self._in_flight is not None:
            self._in_flight.unregister(self.service)
        self._stopped.set()

    async def wait_stopped(self) -> None:
        """Wait until the bus is stopped; raises the error that ended consumption."""
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    async def fetch_end_offsets(self, consumed: Offsets) -> Offsets:
        """Return the end offsets of the partitions that this service reads, reading on from `consumed`.

        Raises RetryLater while the broker is unavailable.
        """
        below = {
            where: consumed.get((where.topic, where.partition), 0) for where in self._subscriber.consumer.assignment()
        }
        try:
            ends = await fetch_end_offsets(self.settings, below)
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in ends.items()}

    async def fetch_committed_offsets(self) -> Offsets:
        """Return the committed offsets of this service's group by partition; empty if it consumes without a group.

        Raises RetryLater while the broker is unavailable.
        """
        if self.settings.group_prefix is None:
            return {}
        consumer = self._subscriber.consumer
        try:
            committed = {where: await consumer.committed(where) for where in consumer.assignment()}
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in committed.items() if offset is not None}

    async def publish(self, *events: Event) -> None:
        """Send events and wait until the broker has all of them.

        Raises RetryLater if it has not: some may have arrived, so publish the same events again, with unchanged ids.
        Raises Reject for an event above 32 MB.
        """
        await self.publish_encoded([self.to_message(event) for event in events])

    def to_message(self, event: Event) -> BusMessage:
        """Encode an event of this service as a message."""
        return encode_message(event, self.service)

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        """Send messages and wait until the broker has all of them; those with one key arrive in the given order.

        Raises NotDelivered (retry later) or Undeliverable (the broker will never accept them); each lists the messages
        concerned, and all the others have arrived.
        """
        trace = tuple((name, value.encode()) for name, value in trace_headers().items())
        if trace:
            messages = [message._replace(headers=(*message.headers, *trace)) for message in messages]
        await self._send(messages)

    async def decode_events(self, records: Sequence[Record]) -> list[Event]:
        """Decode the events of the records; send records that cannot be decoded to the dead letters."""
        events: list[Event] = []
        for first in range(0, len(records), _DECODE_BATCH):
            part = records[first : first + _DECODE_BATCH]
            decoded, invalid = decode_records(part)
            await self.dead_letter(part, invalid)
            events += [event for _, event in decoded]
            await asyncio.sleep(0)
        return events

    async def dead_letter(self, records: Sequence[Record], invalid: Sequence[InvalidRecord]) -> None:
        """Send invalid records to the dead letters; raises StopService if there are too many."""
        self._dead_letter_limit.check(records, invalid)
        for one in invalid:
            log.warning("%s: sent %s to the dead letters: %s", self.service, one.headers, one.reason[:200])
        await self._send([_to_dead_letter(one) for one in invalid])

    @property
    def is_tracked(self) -> bool:
        """True if events in flight are counted: a tick then comes only after the service has handled all of them."""
        return self._in_flight is not None

    def hold_open(self) -> AbstractContextManager[None]:
        """Mark work outside the handler: if events in flight are counted, it is awaited as handlers are."""
        return nullcontext() if self._in_flight is None else self._in_flight.hold_open(self.service)

    # Publishing

    async def _send(self, messages: Sequence[BusMessage]) -> None:
        """Count the messages, send them and wait for all; subtract those that were not sent."""
        self._record_published(Counter(message.topic for message in messages))
        try:
            outcomes = await self._publisher.send(messages)
        except BaseException:
            self._record_published(Counter(message.topic for message in messages), -1)
            raise
        problems = {index: problem for index, problem in enumerate(outcomes) if problem is not None}
        if problems:
            self._record_published(Counter(messages[index].topic for index in problems), -1)
            raise _publish_error(messages, problems)

    def _record_published(self, topics: Counter[str], sign: int = 1) -> None:
        if self._in_flight is not None:
            for topic, n in topics.items():
                self._in_flight.record_published(topic, sign * n)

    # Consuming

    def _membership(self, topics: Sequence[Topic]) -> tuple[list[str], dict[str, Any]]:
        """Return topics and consumer options: a group commits after the handler; without one, read all partitions."""
        prefix = self.settings.group_prefix
        if prefix is None:
            partitions = [TopicPartition(topic.name, n) for topic in topics for n in range(topic.partitions)]
            return [], {"partitions": partitions, "group_id": None, "ack_policy": AckPolicy.MANUAL}
        return [topic.name for topic in topics], {
            "group_id": f"{prefix}-{self.service}",
            "ack_policy": AckPolicy.NACK_ON_ERROR,
            "listener": _SeekOnce(self),
        }

    async def _parse(self, raw: tuple[Any, ...]) -> KafkaAckableMessage:
        """Build a message without decoding its headers: a header that is not UTF-8 must not fail the batch."""
        return KafkaAckableMessage(raw_message=raw, body=b"", consumer=self._subscriber.consumer)

    def _seek_to(self, offsets: Mapping[Position, int]) -> None:
        for position, offset in offsets.items():
            self._subscriber.consumer.seek(position, offset)

    def _make_deliver(self, handler: BatchHandler) -> Callable[[KafkaAckableMessage], Awaitable[None]]:
        async def deliver(message: KafkaAckableMessage) -> None:
            records = [_to_record(raw) for raw in cast("tuple[ConsumerRecord[Any, Any], ...]", message.raw_message)]
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

    def _record_consumed(self, records: Sequence[Record]) -> None:
        if self._in_flight is not None:
            for topic, n in Counter(record.topic for record in records).items():
                self._in_flight.record_consumed(self.service, topic, n)

    async def _back_off(self, error: Exception) -> None:
        """Wait before the batch is redelivered; wait until the bus stops if it must not be."""
        self._attempts += 1
        patient = isinstance(error, RetryLater) and self._in_flight is None
        final = isinstance(error, StopService) or (self._attempts >= self.settings.max_attempts and not patient)
        log.log(
            logging.CRITICAL if final else logging.ERROR,
            "%s: attempt %d of a batch failed", self.service, self._attempts, exc_info=error,
        )  # fmt: skip
        if final:
            self._fail(error)
        delay = min(_MAX_RETRY_DELAY_S, _MIN_RETRY_DELAY_S * 2 ** min(self._attempts - 1, 16))
        try:
            await asyncio.wait_for(self._stopping.wait(), None if final else delay)
        except TimeoutError:
            return

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._stopped.set()
        if self._in_flight is not None:
            self._in_flight.record_failure(self.service, error)


class _SeekOnce(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Seek each partition to its starting offset when it is first assigned."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def on_partitions_revoked(self, revoked: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        """Do nothing: the group has the committed offsets."""

    async def on_partitions_assigned(self, assigned: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        seek = self._bus._seek_offsets
        self._bus._seek_to({position: seek.pop(position) for position in assigned if position in seek})


def _to_record(raw: "ConsumerRecord[Any, Any]") -> Record:
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value or b"", raw.headers)


async def _passthrough_decoder(message: KafkaAckableMessage) -> KafkaAckableMessage:
    return message


def _to_dead_letter(invalid: InvalidRecord) -> BusMessage:
    headers = tuple((name, value.encode()) for name, value in invalid.headers.items())
    return BusMessage(DEAD_LETTERS, invalid.record.value, invalid.record.key, headers)


def _publish_error(
    messages: Sequence[BusMessage], problems: Mapping[int, BaseException]
) -> Undeliverable | NotDelivered:
    index, first = next(iter(problems.items()))
    topic = messages[index].topic
    if all(isinstance(problem, MessageSizeTooLargeError) for problem in problems.values()):
        return Undeliverable(
            f"an event for {topic!r} exceeds the limit of {MAX_MESSAGE_BYTES} bytes; make it smaller", list(problems)
        )
    return NotDelivered(
        f"{len(problems)} of {len(messages)} events did not reach the broker, the first for {topic!r}: {first!r}",
        list(problems),
    )
