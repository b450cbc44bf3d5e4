"""Membership in the group of a service's copies, on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from tests.support.brokers import open_kafka
from tests.support.kafka_server import KafkaServer

from understudies.events import INVOCATIONS, VERDICTS
from understudies.runtime.bus.task_partition import PARTITIONED_TOPICS
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.partitioned import group as group_module
from understudies.runtime.partitioned.group import PartitionGroup, count_partitions
from understudies.runtime.settings import BusSettings

COUNT = INVOCATIONS.partitions
SECONDS = 60


@pytest.fixture
async def kafka() -> AsyncIterator[BusSettings]:
    async with open_kafka() as settings:
        yield settings


async def grow(settings: BusSettings, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap or "")
    await admin.start()
    try:
        await admin.create_partitions({topic.name: NewPartitions(count) for topic in (INVOCATIONS, VERDICTS)})
    finally:
        await admin.close()


async def test_a_copy_stops_once_its_topics_have_more_partitions_than_its_state(
    kafka: BusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "_METADATA_MAX_AGE_MS", 500)
    count = await count_partitions(kafka, PARTITIONED_TOPICS)
    group = PartitionGroup(kafka, "budget", PARTITIONED_TOPICS, count)
    await group.start("folder")
    try:
        assert group.owned == set(range(COUNT))
        await grow(kafka, 2 * COUNT)
        async with asyncio.timeout(SECONDS):
            with pytest.raises(StopService, match="has 12 partitions now, and the state of budget is of 6"):
                await group.wait_failed()
            while len(group._assignor.owned) == COUNT:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        # No task of the state belongs to the others: whoever read them would publish each event there again, for ever.
        assert group.owned == set(range(COUNT))
    finally:
        await group.stop()


async def test_no_request_about_offsets_outlasts_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "_REQUEST_TIMEOUT_S", 0.5)
    async with KafkaServer() as kafka:
        settings = BusSettings(bootstrap=kafka.bootstrap, group_prefix="test", replication_factor=1)
        count = await count_partitions(settings, PARTITIONED_TOPICS)
        group = PartitionGroup(settings, "budget", PARTITIONED_TOPICS, count)
        await group.start("folder")
        kafka.kill()
        try:
            async with asyncio.timeout(20):
                await group.commit({(INVOCATIONS.name, 0): 1})
                with pytest.raises(RetryLater):
                    await group.claim(0, has_state=True)
        finally:
            await group.stop()
