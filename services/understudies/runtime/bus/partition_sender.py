"""Send the messages of one partition, so that none that the broker refuses stops the others."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES

MessageIndex = int
"""Index of a message among those passed to `Publisher.send`, from 0."""

MAX_BATCH_BYTES: Final = 1024 * 1024
_YIELD_EVERY: Final = 200
"""Messages to append before yielding to the event loop: about a millisecond of work."""
_MAX_RENEWALS: Final = 3
"""New producers for one call of `send` and partition, before the caller is to try again later."""
_NO_TIMESTAMP: Final = -1
_RECORD_OVERHEAD: Final = 100
_HEADER_OVERHEAD: Final = 10
_LOST_SEQUENCE: Final = (OutOfOrderSequenceNumber, ProducerFenced, UnknownProducerId)
"""The broker stored nothing of the batch, and takes it from a new producer."""


class ProducerSource(Protocol):
    """Where a working producer comes from, and where one that has become unusable is reported."""

    async def working_producer(self) -> AIOKafkaProducer:
        """Return a producer that works; raises RetryLater while there is none."""
        ...

    async def wait_stored(self, producer: AIOKafkaProducer, sent: "asyncio.Future[Any]") -> None:
        """Wait until the broker has stored a batch; raises the error otherwise."""
        ...

    def discard(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Replace the producer before the next batch, if a batch refused with `error` makes it unusable."""
        ...


class PartitionSender:
    """Send one partition's messages in order, batch after batch.

    A batch that is too large is sent in smaller ones until only a message that is too large by itself is refused. The
    timestamps of records are left out once the broker finds them too far from its own clock; events keep theirs.
    """

    def __init__(self, producers: ProducerSource, topic: str, partition: int, max_batch_bytes: int) -> None:
        self.max_batch_bytes = max_batch_bytes
        self._producers = producers
        self._topic = topic
        self._partition = partition
        self._timestamp: int | None = None
        self._renewals = 0

    async def send(
        self,
        messages: Sequence[BusMessage],
        indexes: Sequence[MessageIndex],
        outcomes: list[BaseException | None],
    ) -> None:
        """Send the messages at `indexes` and write errors to `outcomes`; after a failed batch, all later ones fail."""
        for index in indexes:
            outcomes[index] = check_size(messages[index])
        waiting = [index for index in indexes if outcomes[index] is None]
        at = 0
        try:
            while at < len(waiting):
                count, error = await self._send_batch(messages, waiting, at)
                if error is not None:
                    outcomes[waiting[at]] = error
                at += count
        except (KafkaError, OSError, RetryLater) as error:
            for index in waiting[at:]:
                outcomes[index] = error

    async def _send_batch(
        self, messages: Sequence[BusMessage], waiting: Sequence[MessageIndex], at: int
    ) -> tuple[int, KafkaError | None]:
        """Return how many messages are done with, and the error of the first if it is too large for the topic."""
        producer = await self._producers.working_producer()
        batch, count = await self._fill_batch(producer, messages, waiting, at)
        size = batch.size()
        sent = await producer.send_batch(batch, self._topic, partition=self._partition)
        try:
            await self._producers.wait_stored(producer, sent)
        except KafkaError as error:
            self._producers.discard(producer, error)
            return self._handle_refusal(error, count, size)
        return count, None

    def _handle_refusal(self, error: KafkaError, count: int, size: int) -> tuple[int, KafkaError | None]:
        """Prepare another attempt if one can succeed; otherwise raise the error."""
        if isinstance(error, MessageSizeTooLargeError):
            if count == 1:
                return 1, error
            self.max_batch_bytes = size // 2
        elif isinstance(error, InvalidTimestampError) and self._timestamp is None:
            self._timestamp = _NO_TIMESTAMP
        elif isinstance(error, _LOST_SEQUENCE) and self._renewals < _MAX_RENEWALS:
            self._renewals += 1
        else:
            raise error
        return 0, None

    async def _fill_batch(
        self, producer: AIOKafkaProducer, messages: Sequence[BusMessage], waiting: Sequence[MessageIndex], at: int
    ) -> tuple[Any, int]:
        """Return a batch of the messages from `at` on, and their number."""
        batch, limit = producer.create_batch(), self.max_batch_bytes
        end = at
        while end < len(waiting):
            message = messages[waiting[end]]
            if end > at and limit < MAX_BATCH_BYTES and batch.size() + record_size(message) > limit:
                break
            _, value, key, headers = message
            if batch.append(timestamp=self._timestamp, key=key, value=value, headers=list(headers)) is None:
                break
            end += 1
            if (end - at) % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return batch, end - at


def record_size(message: BusMessage) -> int:
    """Return the most bytes that a message takes as a record."""
    return message.size + _RECORD_OVERHEAD + _HEADER_OVERHEAD * len(message.headers)


def check_size(message: BusMessage) -> MessageSizeTooLargeError | None:
    """Return the error of a message that is too large for every broker, None for any other."""
    if len(message.value) <= MAX_MESSAGE_BYTES // 2 - _RECORD_OVERHEAD:
        return None
    size = record_size(message)
    return MessageSizeTooLargeError(f"{size} bytes") if size > MAX_MESSAGE_BYTES else None
