"""Records that no service can read, one of each kind."""

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from understudies.events import Topic
from understudies.runtime.bus.dead_letters import DEAD_LETTERS

POISON: Final = (
    b"",
    b"not JSON",
    b"[1, 2, 3]",
    b'{"id": "half',
    b"\xff\xfe\x00",
    b'{"id": "x", "at": "yesterday", "task": "t"}',
    b'{"id": "x", "at": "2026-01-01T00:00:00Z", "task": 7}',
    b"[" * 5000,
    b'{"id": ' + b"9" * 5000 + b"}",
)


async def publish_poison(bootstrap: str, topic: Topic) -> None:
    """Publish all kinds, with keys and headers that are odd too."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number, value in enumerate(POISON):
            # A compacted topic takes no record without a key.
            key = b"\xff" if number % 3 or topic.cleanup == "compact" else None
            headers = [("ce_id", None), ("x", b"\xff")] if number % 2 else []
            await producer.send_and_wait(topic.name, value, key=key, headers=headers)
    finally:
        await producer.stop()


async def wait_dead_letters(bootstrap: str, count: int) -> None:
    """Wait until so many records were set aside."""
    async with asyncio.timeout(180):
        while await count_dead_letters(bootstrap) < count:
            pass


async def count_dead_letters(bootstrap: str) -> int:
    """How many records were set aside so far."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        partition = TopicPartition(DEAD_LETTERS, 0)
        async with asyncio.timeout(30):
            ends = await consumer.end_offsets([partition])
        return int(ends[partition])
    finally:
        await consumer.stop()
