"""A bus that stops while it looks after its topics."""

import asyncio
import gc
import warnings
from collections.abc import Sequence

import pytest
from tests.support.brokers import open_kafka

from understudies.events import INVOCATIONS
from understudies.runtime.bus import kafka_bus
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record


async def ignore(records: Sequence[Record]) -> None:
    """Handle nothing."""


async def test_no_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_bus, "_TOPIC_CHECK_S", 0.02)
    async with open_kafka() as settings:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for number in range(20):
                bus = KafkaBus(settings.model_copy(update={"group_prefix": None}), "reader")
                bus.consume((INVOCATIONS,), ignore)
                await bus.start()
                # At another moment of the look each time, as when it connects.
                await asyncio.sleep(0.02 + number / 1000)
                await bus.stop()
                del bus
                gc.collect()
    assert [str(one.message) for one in warned if "AIOKafkaConnection" in str(one.message)] == []
