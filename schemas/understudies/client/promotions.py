"""Subscribe to promotions, which say which student may serve which task."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from understudies.events import PROMOTIONS, Promotion

log = logging.getLogger("understudies.client")

_MIN_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 5.0


async def promotions(bootstrap: str, task: str | None = None, **kafka: Any) -> AsyncIterator[Promotion]:
    """Yield all promotions from the beginning of the topic, oldest first, and then each new one as it arrives.

    Malformed messages are skipped. While Kafka is unavailable, the subscription waits for it. `kafka` holds further
    options of the consumer, such as security settings.
    """
    consumer = await _connect(bootstrap, kafka)
    try:
        async for record in consumer:
            promotion = _decode_promotion(record.value, record.offset)
            if promotion is not None and task in (None, promotion.task):
                yield promotion
    finally:
        await consumer.stop()


async def _connect(bootstrap: str, options: dict[str, Any]) -> AIOKafkaConsumer:
    pause = _MIN_BACKOFF_S
    while True:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            client_id="understudies-sdk",
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            **options,
        )
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            log.warning("no promotions from %r yet: %r", bootstrap, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_BACKOFF_S)
            continue
        consumer.assign([TopicPartition(PROMOTIONS.name, partition) for partition in range(PROMOTIONS.partitions)])
        return consumer


def _decode_promotion(value: bytes | None, offset: int) -> Promotion | None:
    if value is None:  # a tombstone: the student was compacted away
        return None
    try:
        event = PROMOTIONS.decode(value)
    except ValidationError as error:
        log.warning("promotion at offset %d is broken and skipped: %s", offset, error)
        return None
    return event if isinstance(event, Promotion) else None
