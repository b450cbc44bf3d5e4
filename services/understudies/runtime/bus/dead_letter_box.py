"""Read the dead letters of a broker, and publish again those that can be decoded by now."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka.security import parse_security
from pydantic import ValidationError

from understudies.events import BY_NAME
from understudies.runtime.bus.admin import bootstrap_servers, build_security, is_before_end, stop_consumer
from understudies.runtime.bus.dead_letters import DEAD_LETTERS, format_reason
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import BusMessage, encode_message
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings

_POLL_MS: Final = 100
_EXTRA_HEADERS: Final = frozenset({"reason", "original-topic", "original-partition", "original-offset"})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be decoded: its original bytes, why, and where it was."""

    partition: int
    offset: int
    at: datetime
    reason: str
    topic: str
    place: str
    key: bytes | None
    value: bytes

    @property
    def id(self) -> str:
        """The name of the letter on the command line."""
        return f"{self.partition}:{self.offset}"

    def to_message(self) -> BusMessage:
        """Return the record as a message for its topic, its bytes unchanged.

        Raises ValueError with the reason if it still cannot be decoded.
        """
        topic = BY_NAME.get(self.topic)
        if topic is None:
            raise ValueError(f"{self.topic!r} is no topic of this version")
        try:
            event = topic.decode(self.value)
        except ValidationError as error:
            raise ValueError(format_reason(error)) from None
        encoded = encode_message(event, "dlq")
        return encoded._replace(value=self.value, key=self.key if self.key is not None else encoded.key)


class DeadLetterBox:
    """The topic of dead letters of one broker."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings

    async def read(self) -> AsyncIterator[DeadLetter]:
        """Yield all letters up to the end of the topic, as it is now; raises RetryLater without a broker."""
        async with self._open_consumer() as consumer:
            partitions = [TopicPartition(DEAD_LETTERS, number) for number in _partitions(consumer)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            goals: dict[TopicPartition, int] = {}
            while await is_before_end(consumer, partitions, goals):
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        yield _to_letter(record)

    async def replay(self, letters: Sequence[DeadLetter]) -> dict[str, str]:
        """Publish letters to the topics that they came from, in order; returns why others could not be, by id.

        An event that is published twice is the same event: services know it by its id.
        """
        refused: dict[str, str] = {}
        messages: list[BusMessage] = []
        for letter in letters:
            try:
                messages.append(letter.to_message())
            except ValueError as error:
                refused[letter.id] = str(error)
        if messages:
            bus = KafkaBus(self._settings.model_copy(update={"create_topics": False}), "dlq")
            await bus.start()
            try:
                await bus.publish_encoded(messages)
            finally:
                await bus.stop()
        return refused

    @asynccontextmanager
    async def _open_consumer(self) -> AsyncIterator[Any]:
        options: Mapping[str, Any] = parse_security(build_security(self._settings))
        consumer: Any = AIOKafkaConsumer(
            DEAD_LETTERS,
            bootstrap_servers=",".join(bootstrap_servers(self._settings)),
            group_id=None,
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            **options,
        )
        try:
            await consumer.start()
            consumer.unsubscribe()
            yield consumer
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self._settings.bootstrap!r}: {error!r}") from error
        finally:
            await stop_consumer(consumer)


def _partitions(consumer: Any) -> list[int]:
    found = consumer.partitions_for_topic(DEAD_LETTERS)
    if not found:
        raise ConfigurationError(
            f"the broker has no topic {DEAD_LETTERS!r}: no service of Understudies has been connected to it"
        )
    return sorted(found)


def _to_letter(record: Any) -> DeadLetter:
    headers = {
        name: (value or b"").decode("utf-8", "replace") for name, value in record.headers if name in _EXTRA_HEADERS
    }
    place = f"{headers.get('original-partition', '?')}:{headers.get('original-offset', '?')}"
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
        reason=headers.get("reason", "not told"),
        topic=headers.get("original-topic", ""),
        place=place,
        key=record.key,
        value=record.value or b"",
    )
