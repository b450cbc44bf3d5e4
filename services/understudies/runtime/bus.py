"""The bus: publish events, consume topics in batches, at least once."""

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
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.flow import Flow
from understudies.runtime.kafka import ends_behind, ensure_topics, security, servers
from understudies.runtime.message import Message, message_of
from understudies.runtime.poison import DEAD_LETTERS, Poison, PoisonLimit, decode
from understudies.runtime.publisher import NotTaken, Publisher, Refused
from understudies.runtime.records import Record
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings
from understudies.runtime.telemetry import batch_span, carried

log = logging.getLogger(__name__)

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Handles a batch; when it returns, the batch is done, and when it raises, the batch comes again."""

Offsets = Mapping[tuple[str, int], int]
"""The next offset to handle, by topic and partition."""

# After an empty wait FastStream sleeps for as long again and would miss what arrives: wait a year, not a moment.
_WAIT_MS: Final = 365 * 86_400_000
_DECODED_AT_ONCE: Final = 100
"""Some milliseconds of work, after which others of the process have their turn."""
_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 30.0


class Bus:
    """One service's connection to the topics."""

    def __init__(
        self, settings: BusSettings, service: str, flow: Flow | None = None, *, tracer: Tracer | None = None
    ) -> None:
        self.service = service
        self.settings = settings
        self._flow = flow
        self._tracer = tracer or NoOpTracer()
        self._limit = PoisonLimit()
        self._attempts = 0
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()
        self._seek: dict[Position, int] = {}
        self._subscriber: Any = None
        self._publisher = Publisher(settings, f"understudies-{service}")
        self._broker = KafkaBroker(
            servers(settings),
            client_id=f"understudies-{service}",
            consumer_only=True,
            allow_auto_create_topics=False,
            security=security(settings),
            apply_types=False,
            logger=None,
        )

    def consume(
        self, topics: Sequence[Topic], handler: Handler, *, max_records: int = 2000, start: Offsets | None = None
    ) -> None:
        """Have a handler called with batches of the topics' records, from `start()` on.

        It is called for one batch at a time, in order within a partition. `start` overrides the committed offsets.
        """
        if self._subscriber is not None:
            raise RuntimeError(f"service {self.service!r} consumes already; give all topics at once")
        self._seek = {Position(*where): offset for where, offset in (start or {}).items()}
        names, membership = self._membership(topics)
        self._subscriber = self._broker.subscriber(
            *names,
            batch=True,
            auto_offset_reset="earliest",
            parser=self._parse,
            decoder=_undecoded,
            max_records=max_records,
            batch_timeout_ms=_WAIT_MS,
            fetch_max_wait_ms=self.settings.fetch_max_wait_ms,
            fetch_max_bytes=2 * MAX_MESSAGE_BYTES,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            no_reply=True,
            **membership,
        )
        self._subscriber(self._delivery(handler))
        if self._flow is not None:
            self._flow.register(self.service, [topic.name for topic in topics])

    async def start(self) -> None:
        """Connect, and begin to consume; raises RetryLater while the broker is away, and may then be called again."""
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
            # From the beginning is where it reads from already, and what it has read must not come twice.
            self._sought({where: offset for where, offset in self._seek.items() if offset > 0})

    async def stop(self) -> None:
        """Let the running handler finish, then disconnect."""
        self._stopping.set()
        await self._broker.stop()
        await self._publisher.stop()
        if self._flow is not None:
            self._flow.forget(self.service)
        self._ended.set()

    async def ended(self) -> None:
        """Wait until the bus was stopped; raises what consumption failed with."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def ends(self, done: Offsets) -> Offsets:
        """Behind which records the partitions that this service reads end now; below `done` nobody looks.

        Raises RetryLater while the broker is away.
        """
        below = {where: done.get((where.topic, where.partition), 0) for where in self._subscriber.consumer.assignment()}
        try:
            found = await ends_behind(self.settings, below)
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in found.items()}

    async def committed(self) -> Offsets:
        """Up to where the group of this service has handled the partitions that it reads; nothing where it is in none.

        Raises RetryLater while the broker is away.
        """
        if self.settings.group_prefix is None:
            return {}
        consumer = self._subscriber.consumer
        try:
            found = {where: await consumer.committed(where) for where in consumer.assignment()}
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in found.items() if offset is not None}

    async def publish(self, *events: Event) -> None:
        """Send events and wait until the broker has them all.

        Raises RetryLater where it has not: some may have arrived, so publish the same events again, ids unchanged.
        Raises Reject for an event above 32 MB.
        """
        await self.publish_encoded([self.message(event) for event in events])

    def message(self, event: Event) -> Message:
        """The message that carries an event of this service."""
        return message_of(event, self.service)

    async def publish_encoded(self, messages: Sequence[Message]) -> None:
        """Send messages and wait until the broker has them all; those of one key arrive in the order given.

        Raises NotTaken (to be tried again later) or Refused (never to be taken); each tells which messages it means,
        and all the others have arrived.
        """
        trace = tuple((name, value.encode()) for name, value in carried().items())
        if trace:
            messages = [message._replace(headers=(*message.headers, *trace)) for message in messages]
        await self._send(messages)

    async def events(self, records: Sequence[Record]) -> list[Event]:
        """The events of the records; those that cannot be read go to the dead letters."""
        events: list[Event] = []
        for first in range(0, len(records), _DECODED_AT_ONCE):
            part = records[first : first + _DECODED_AT_ONCE]
            decoded, poison = decode(part)
            await self.set_aside(part, poison)
            events += [event for _, event in decoded]
            await asyncio.sleep(0)
        return events

    async def set_aside(self, records: Sequence[Record], poison: Sequence[Poison]) -> None:
        """Send the poison among the records to the dead letters; raises StopService when there is too much of it."""
        self._limit.check(records, poison)
        for one in poison:
            log.warning("%s: set aside %s: %s", self.service, one.headers, one.reason[:200])
        await self._send([_dead_letter(one) for one in poison])

    @property
    def counted(self) -> bool:
        """Whether flow is counted: whoever ticks a service then has waited until it has handled everything."""
        return self._flow is not None

    def busy(self) -> AbstractContextManager[None]:
        """Work outside the handler: where flow is counted, it is waited for as handlers are."""
        return nullcontext() if self._flow is None else self._flow.busy(self.service)

    # Publishing

    async def _send(self, messages: Sequence[Message]) -> None:
        """Count, send, and wait for all; what was not sent is counted back."""
        self._count(Counter(message.topic for message in messages))
        try:
            outcomes = await self._publisher.send(messages)
        except BaseException:
            self._count(Counter(message.topic for message in messages), -1)
            raise
        problems = {place: problem for place, problem in enumerate(outcomes) if problem is not None}
        if problems:
            self._count(Counter(messages[place].topic for place in problems), -1)
            raise _publishing_failed(messages, problems)

    def _count(self, topics: Counter[str], sign: int = 1) -> None:
        if self._flow is not None:
            for topic, n in topics.items():
                self._flow.published(topic, sign * n)

    # Consuming

    def _membership(self, topics: Sequence[Topic]) -> tuple[list[str], dict[str, Any]]:
        """Offsets are committed by group, after the handler; without a group this process reads every partition."""
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
        """A message without decoded headers: a header that is not UTF-8 must not fail the batch."""
        return KafkaAckableMessage(raw_message=raw, body=b"", consumer=self._subscriber.consumer)

    def _sought(self, offsets: Mapping[Position, int]) -> None:
        for position, offset in offsets.items():
            self._subscriber.consumer.seek(position, offset)

    def _delivery(self, handler: Handler) -> Callable[[KafkaAckableMessage], Awaitable[None]]:
        async def deliver(message: KafkaAckableMessage) -> None:
            records = [_record(raw) for raw in cast("tuple[ConsumerRecord[Any, Any], ...]", message.raw_message)]
            try:
                with batch_span(self._tracer, self.service, records):
                    await handler(records)
            except Exception as error:
                await self._delay(error)
                await message.nack()
                raise
            self._attempts = 0
            self._settle(records)

        return deliver

    def _settle(self, records: Sequence[Record]) -> None:
        if self._flow is not None:
            for topic, n in Counter(record.topic for record in records).items():
                self._flow.consumed(self.service, topic, n)

    async def _delay(self, error: Exception) -> None:
        """Wait before the batch comes again; for ever when it must not."""
        self._attempts += 1
        patient = isinstance(error, RetryLater) and self._flow is None
        final = isinstance(error, StopService) or (self._attempts >= self.settings.max_attempts and not patient)
        log.log(
            logging.CRITICAL if final else logging.ERROR,
            "%s: attempt %d of a batch failed", self.service, self._attempts, exc_info=error,
        )  # fmt: skip
        if final:
            self._fail(error)
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(self._attempts - 1, 16))
        try:
            await asyncio.wait_for(self._stopping.wait(), None if final else delay)
        except TimeoutError:
            return

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._ended.set()
        if self._flow is not None:
            self._flow.fail(self.service, error)


class _SeekOnce(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Moves a partition to its starting offset the first time that it is assigned."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def on_partitions_revoked(self, revoked: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        """Nothing to hand over: the group has the committed offsets."""

    async def on_partitions_assigned(self, assigned: set[Position]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        seek = self._bus._seek
        self._bus._sought({position: seek.pop(position) for position in assigned if position in seek})


def _record(raw: "ConsumerRecord[Any, Any]") -> Record:
    return Record(raw.topic, raw.partition, raw.offset, raw.key, raw.value or b"", raw.headers)


async def _undecoded(message: KafkaAckableMessage) -> KafkaAckableMessage:
    return message


def _dead_letter(poison: Poison) -> Message:
    headers = tuple((name, value.encode()) for name, value in poison.headers.items())
    return Message(DEAD_LETTERS, poison.record.value, poison.record.key, headers)


def _publishing_failed(messages: Sequence[Message], problems: Mapping[int, BaseException]) -> Refused | NotTaken:
    place, first = next(iter(problems.items()))
    topic = messages[place].topic
    if all(isinstance(problem, MessageSizeTooLargeError) for problem in problems.values()):
        return Refused(
            f"an event for {topic!r} is above the limit of {MAX_MESSAGE_BYTES} bytes; make it smaller", list(problems)
        )
    return NotTaken(
        f"{len(problems)} of {len(messages)} events did not reach the broker, the first for {topic!r}: {first!r}",
        list(problems),
    )
