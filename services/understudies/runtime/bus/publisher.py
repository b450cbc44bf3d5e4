"""The way out to Kafka: many messages at the cost of a few."""

import asyncio
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
from understudies.runtime.errors import Reject, RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings

MessageIndex = int
"""Where a message stands among those given, from 0."""

_BATCH_BYTES: Final = 1024 * 1024
_YIELD_EVERY: Final = 200
"""About a millisecond of work, after which others of the process have their turn."""
_RETRY_MS: Final = 250
_STOP_TIMEOUT_S: Final = 2.0
_RECORD_OVERHEAD: Final = 100
_HEADER_OVERHEAD: Final = 10
_TopicPartition = tuple[str, int]


class NotDelivered(RetryLater):
    """Some messages did not reach the broker, as far as is known; `missing` are their places, the others arrived."""

    def __init__(self, message: str, missing: Sequence[MessageIndex]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class Undeliverable(Reject):
    """Some messages can never be taken; `rejected` are their places, the others arrived."""

    def __init__(self, message: str, rejected: Sequence[MessageIndex]) -> None:
        super().__init__(message)
        self.rejected = tuple(rejected)


class Publisher:
    """A producer that is given whole batches: partitions are kept by key, and nothing is done for one message alone.

    Within a partition messages arrive in the order given; after one that failed, none behind it is sent.
    """

    def __init__(self, settings: BusSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._unavailable = False

    async def start(self) -> None:
        """Connect; raises RetryLater while the broker is away."""
        options: Mapping[str, Any] = parse_security(build_security(self._settings))
        producer = AIOKafkaProducer(
            bootstrap_servers=",".join(bootstrap_servers(self._settings)),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=self._settings.idempotent,
            max_batch_size=_BATCH_BYTES,
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
        self._producer = producer

    async def stop(self) -> None:
        """Disconnect, once what is on its way has arrived or failed; what has not in two seconds fails."""
        producer, self._producer = self._producer, None
        if producer is not None:
            ending = asyncio.ensure_future(producer.stop())
            await asyncio.wait({ending}, timeout=_STOP_TIMEOUT_S)
            if ending.done():
                ending.result()
            else:
                await _abort_producer(producer, ending)

    async def send(self, messages: Sequence[BusMessage]) -> list[BaseException | None]:
        """Send messages and wait for the broker; returns for each what it failed with.

        That a broker is away is found out within `publish_timeout_s`, and from then on at once.
        """
        outcomes: list[BaseException | None] = [None] * len(messages)
        if self._unavailable and not await self._is_broker_reachable():
            return [RetryLater("the broker is away")] * len(messages)
        topics = {message.topic for message in messages}
        partitions = dict(zip(topics, await asyncio.gather(*map(self._find_partitions, topics)), strict=True))
        lanes: defaultdict[_TopicPartition, list[MessageIndex]] = defaultdict(list)
        for place, (topic, _, key, _) in enumerate(messages):
            known = partitions[topic]
            if isinstance(known, BaseException):
                outcomes[place] = known
            else:
                number = known[_hash_key(key) % len(known)] if key is not None else random.choice(known)
                lanes[topic, number].append(place)
        await asyncio.gather(
            *(self._send_partition(lane, places, messages, outcomes) for lane, places in lanes.items())
        )
        self._unavailable = any(one is not None and not isinstance(one, MessageSizeTooLargeError) for one in outcomes)
        return outcomes

    async def _is_broker_reachable(self) -> bool:
        """Whether a broker says where the topics are."""
        return self._producer is not None and bool(await self._producer.client.force_metadata_update())

    async def _find_partitions(self, topic: str) -> list[int] | BaseException:
        try:
            return sorted(await self._require_producer().partitions_for(topic))
        except (KafkaError, OSError, RetryLater) as error:
            return error

    async def _send_partition(
        self,
        topic_partition: _TopicPartition,
        indexes: Sequence[MessageIndex],
        messages: Sequence[BusMessage],
        outcomes: list[BaseException | None],
    ) -> None:
        """Send one partition's messages, batch after batch; where one fails, so do all behind it."""
        topic, partition = topic_partition
        waiting = [place for place in indexes if not _reject_too_large(messages[place], place, outcomes)]
        at = 0
        try:
            while at < len(waiting):
                producer = self._require_producer()
                batch = producer.create_batch()
                end = at
                while end < len(waiting):
                    _, value, key, headers = messages[waiting[end]]
                    if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                        break
                    end += 1
                    if (end - at) % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                sent = await producer.send_batch(batch, topic, partition=partition)
                sent.add_done_callback(_consume_exception)
                await asyncio.wait({sent})
                sent.result()
                at = end
        except (KafkaError, OSError, RetryLater) as error:
            for place in waiting[at:]:
                outcomes[place] = error

    def _require_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RetryLater("the bus is not started, or it was stopped")
        return self._producer


async def _abort_producer(producer: AIOKafkaProducer, ending: "asyncio.Future[Any]") -> None:
    """Have a producer end that waits for its broker; what it stumbles over then is of no interest."""
    ending.add_done_callback(_consume_exception)
    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    await asyncio.wait({ending}, timeout=_STOP_TIMEOUT_S)
    ending.cancel()


def _consume_exception(sent: "asyncio.Future[Any]") -> None:
    """Whoever waited for it may be gone, and then nobody is to complain of an error that nobody heard of."""
    if not sent.cancelled():
        sent.exception()


def _reject_too_large(message: BusMessage, index: MessageIndex, outcomes: list[BaseException | None]) -> bool:
    size = len(message.value) + _RECORD_OVERHEAD
    if size > MAX_MESSAGE_BYTES // 2:
        size = message.size + _RECORD_OVERHEAD + _HEADER_OVERHEAD * len(message.headers)
    if size > MAX_MESSAGE_BYTES:
        outcomes[index] = MessageSizeTooLargeError(f"{size} bytes")
        return True
    return False


@lru_cache(maxsize=8192)
def _hash_key(key: bytes) -> int:
    """As Kafka's own clients hash a key, to the same partition."""
    return int(murmur2(key)) & 0x7FFFFFFF
