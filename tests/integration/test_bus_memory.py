"""What a bus keeps of batches that were handled."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka.structs import ConsumerRecord
from tests.support.brokers import BROKERS
from tests.support.buses import SECONDS, KafkaTopics, open_topics
from tests.support.sample_events import make_invocation

from understudies.events import INVOCATIONS
from understudies.runtime.bus.messages import Record

BATCHES, EVENTS = 20, 50


@pytest.fixture(params=sorted(BROKERS.keys() - {"embedded_with_groups"}))
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[KafkaTopics]:
    async with open_topics(BROKERS[request.param]) as topics:
        yield topics


async def test_timers_set_while_a_batch_is_handled_keep_no_batch(broker: KafkaTopics) -> None:
    """A cancelled timer stays with asyncio until its time or a hundred others, and holds the context it was set in."""
    task, read, changed = uuid.uuid4().hex, 0, asyncio.Event()

    async def handle(records: Sequence[Record]) -> None:
        nonlocal read
        asyncio.get_running_loop().call_later(600, print).cancel()
        read += sum(task.encode() in record.value for record in records)
        changed.set()

    bus = broker.connect(f"memory-{task[:8]}")
    bus.consume([INVOCATIONS], handle)
    await bus.start()
    try:
        for batch in range(BATCHES):
            changed.clear()
            await bus.publish(*(make_invocation(f"{batch} {number}", task=task) for number in range(EVENTS)))
            async with asyncio.timeout(SECONDS):
                while read < (batch + 1) * EVENTS:
                    await changed.wait()
                    changed.clear()
        gc.collect()
        held = [one for one in gc.get_objects() if isinstance(one, ConsumerRecord) and one.value]
        assert sum(task.encode() in one.value for one in held) <= EVENTS
    finally:
        await bus.stop()
