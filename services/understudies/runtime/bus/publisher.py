"""Publish messages to Kafka in whole batches, so that many cost little more than a few."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed
from aiokafka.partitioner import murmur2
from faststream.kafka.security import parse_security

from understudies.runtime.bus.admin import bootstrap_servers, build_security
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.bus.partition_sender import MAX_BATCH_BYTES, MessageIndex, PartitionSender
from understudies.runtime.errors import Reject, RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings

log = logging.getLogger(__name__)

_RETRY_MS: Final = 250
_STOP_TIMEOUT_S: Final = 2.0
_PATIENCE: Final = 3.0
"""Publish time-outs after which a producer that answers nothing is replaced; aiokafka gives up after two."""
_TopicPartition = tuple[str, int]


class NotDelivered(RetryLater):
    """Report messages that probably did not reach the broker; `missing` holds their indexes, the others arrived."""

    def __init__(self, message: str, missing: Sequence[MessageIndex]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class Undeliverable(Reject):
    """Report messages that the broker will never accept; `rejected` holds their indexes, the others arrived."""

    def __init__(self, message: str, rejected: Sequence[MessageIndex]) -> None:
        super().__init__(message)
        self.rejected = tuple(rejected)


class Publisher:
    """Producer of whole batches: messages are partitioned by key, and no work is done per single message.

    Within a partition messages arrive in the given order. One that is too large for its topic is left out; after any
    other that failed, none of the later ones is sent.
    """

    def __init__(self, settings: BusSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._unusable: AIOKafkaProducer | None = None
        self._max_batch_bytes: dict[str, int] = {}
        self._replacing = asyncio.Lock()
        self._unavailable = False
        # An idempotent producer may wait without limit: what it has sent and another sends again would arrive twice.
        self._patience_s = None if settings.idempotent else _PATIENCE * settings.publish_timeout_s

    async def start(self) -> None:
        """Connect; raises RetryLater while the broker is unavailable."""
        self._producer = await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
        options: Mapping[str, Any] = parse_security(build_security(self._settings))
        producer = AIOKafkaProducer(
            bootstrap_servers=",".join(bootstrap_servers(self._settings)),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=self._settings.idempotent,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=int(self._settings.publish_timeout_s * 1000),
            retry_backoff_ms=_RETRY_MS,
            **options,
        )
        try:
            await producer.start()
        except BaseException as error:
            await producer.stop()
            if isinstance(error, KafkaError | OSError):
                raise RetryLater(f"no broker at {self._settings.bootstrap!r}: {error!r}") from error
            raise
        return producer

    async def stop(self) -> None:
        """Wait up to two seconds until the messages in flight have arrived or failed, fail the rest, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop_producer(producer)

    async def send(self, messages: Sequence[BusMessage]) -> list[BaseException | None]:
        """Send messages and wait for the broker; returns the error of each message, None if it arrived.

        An unavailable broker is detected within `publish_timeout_s`; later calls then fail at once.
        """
        outcomes: list[BaseException | None] = [None] * len(messages)
        try:
            producer = await self.working_producer()
        except RetryLater as error:
            self._unavailable = True
            return [error] * len(messages)
        if self._unavailable and not await self._is_broker_reachable(producer):
            return [RetryLater("Kafka is unavailable")] * len(messages)
        topics = {message.topic for message in messages}
        found_partitions = await asyncio.gather(*(self._find_partitions(producer, topic) for topic in topics))
        partitions = dict(zip(topics, found_partitions, strict=True))
        by_partition: defaultdict[_TopicPartition, list[MessageIndex]] = defaultdict(list)
        for index, (topic, _, key, _) in enumerate(messages):
            found = partitions[topic]
            if isinstance(found, BaseException):
                outcomes[index] = found
            else:
                by_partition[topic, find_partition(key, found)].append(index)
        await asyncio.gather(
            *(self._send_partition(where, indexes, messages, outcomes) for where, indexes in by_partition.items())
        )
        self._unavailable = any(one is not None and not isinstance(one, MessageSizeTooLargeError) for one in outcomes)
        return outcomes

    async def working_producer(self) -> AIOKafkaProducer:
        """Return the producer, replaced if it has failed for good; raises RetryLater while it cannot be.

        Some errors end aiokafka's sending task: from then on such a producer fails every message, or answers nothing,
        although the broker is back. One that is idempotent and had a batch refused has lost its sequence.
        """
        async with self._replacing:
            producer = self._producer
            if producer is not None and (producer is self._unusable or _has_failed(producer)):
                log.warning("replacing a Kafka producer that has stopped working")
                new = await self._connect()
                if self._producer is None:
                    await _stop_producer(new)
                else:
                    self._producer = new
                    try:
                        await _stop_producer(producer)
                    except (KafkaError, OSError) as error:
                        log.warning("the old producer did not stop cleanly: %r", error)
            if self._producer is None:
                raise RetryLater("the bus is not started, or has been stopped")
            return self._producer

    def _give_up(self, producer: AIOKafkaProducer) -> RetryLater:
        self._unusable = producer
        return RetryLater(f"no answer from Kafka in {self._patience_s:g} s")

    async def _is_broker_reachable(self, producer: AIOKafkaProducer) -> bool:
        """Return whether a broker answers a metadata request."""
        try:
            async with asyncio.timeout(self._patience_s):
                return bool(await producer.client.force_metadata_update())
        except TimeoutError:
            self._give_up(producer)
            return False

    async def _find_partitions(self, producer: AIOKafkaProducer, topic: str) -> list[int] | BaseException:
        try:
            async with asyncio.timeout(self._patience_s):
                return sorted(await producer.partitions_for(topic))
        except TimeoutError:
            return self._give_up(producer)
        except (KafkaError, OSError) as error:
            return error

    async def wait_stored(self, producer: AIOKafkaProducer, sent: "asyncio.Future[Any]") -> None:
        """Wait until the broker has stored a batch; raises RetryLater if it does not answer in time."""
        sent.add_done_callback(_consume_exception)
        await asyncio.wait({sent}, timeout=self._patience_s)
        if not sent.done():
            raise self._give_up(producer)
        sent.result()

    def discard(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Replace an idempotent producer before the next batch: Kafka takes nothing after a gap in the sequence."""
        if self._settings.idempotent:
            log.warning("Kafka refused a batch of an idempotent producer: %r", error)
            self._unusable = producer

    async def _send_partition(
        self,
        topic_partition: _TopicPartition,
        indexes: Sequence[MessageIndex],
        messages: Sequence[BusMessage],
        outcomes: list[BaseException | None],
    ) -> None:
        topic, partition = topic_partition
        sender = PartitionSender(self, topic, partition, self._max_batch_bytes.get(topic, MAX_BATCH_BYTES))
        await sender.send(messages, indexes, outcomes)
        if sender.max_batch_bytes < MAX_BATCH_BYTES:
            known = self._max_batch_bytes.get(topic, MAX_BATCH_BYTES)
            self._max_batch_bytes[topic] = min(known, sender.max_batch_bytes)


def _has_failed(producer: AIOKafkaProducer) -> bool:
    sending = producer._sender.sender_task
    return sending is not None and sending.done()


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    ending = asyncio.ensure_future(producer.stop())
    await asyncio.wait({ending}, timeout=_STOP_TIMEOUT_S)
    if ending.done():
        ending.result()
    else:
        await _abort_producer(producer, ending)


async def _abort_producer(producer: AIOKafkaProducer, ending: "asyncio.Future[Any]") -> None:
    """Abort a producer that is waiting for its broker; ignore the errors that this causes."""
    ending.add_done_callback(_consume_exception)
    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    await asyncio.wait({ending}, timeout=_STOP_TIMEOUT_S)
    ending.cancel()


def _consume_exception(sent: "asyncio.Future[Any]") -> None:
    """Mark the exception as retrieved: if the waiting caller is gone, asyncio would log it as never retrieved."""
    if not sent.cancelled():
        sent.exception()


def find_partition(key: bytes | None, partitions: Sequence[int]) -> int:
    """Return the partition of a key as Kafka's own clients choose it; without a key, any."""
    return random.choice(partitions) if key is None else partitions[hash_key(key) % len(partitions)]


@lru_cache(maxsize=8192)
def hash_key(key: bytes) -> int:
    """Return the hash of a key, as Kafka's own clients choose a partition by it."""
    return int(murmur2(key)) & 0x7FFFFFFF
