"""Publish to Kafka and consume from it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast

from aiokafka import ConsumerRebalanceListener, ConsumerRecord
from aiokafka import TopicPartition as Position
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TopicPartition
from faststream.kafka.message import KafkaAckableMessage
from opentelemetry.trace import Tracer

from understudies.events import Topic
from understudies.runtime.bus.admin import bootstrap_servers, build_security, ensure_topics, fetch_end_offsets
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record
from understudies.runtime.bus.publisher import Publisher
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings
from understudies.runtime.telemetry import batch_span

# After an empty poll FastStream sleeps for the same time again, while records arrive: poll for a year instead.
_POLL_TIMEOUT_MS: Final = 365 * 86_400_000


class KafkaBus(Bus):
    """Connection of one service to the topics of a Kafka broker."""

    def __init__(
        self,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(settings, service, in_flight, tracer=tracer)
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
        if self.settings.group_prefix is None:
            return {}
        consumer = self._subscriber.consumer
        try:
            committed = {where: await consumer.committed(where) for where in consumer.assignment()}
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self.settings.bootstrap!r}: {error!r}") from error
        return {(where.topic, where.partition): offset for where, offset in committed.items() if offset is not None}

    async def _deliver(self, messages: Sequence[BusMessage]) -> Sequence[BaseException | None]:
        return await self._publisher.send(messages)

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


class _SeekOnce(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Seek each partition to its starting offset when it is first assigned."""

    def __init__(self, bus: KafkaBus) -> None:
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
