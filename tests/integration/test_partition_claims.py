"""What a group of Kafka notes about the data folder that has the state of its partitions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Position
from tests.support.brokers import open_kafka
from tests.support.kafka_server import KafkaServer

from understudies.cli.up import require_own_state
from understudies.events import INVOCATIONS, VERDICTS
from understudies.runtime.bus.task_partition import PARTITIONED_TOPICS
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.partitioned.group import UNKNOWN_FOLDER, PartitionGroup, count_partitions, require_unshared
from understudies.runtime.settings import BusSettings

COUNT = INVOCATIONS.partitions
SECONDS = 60


@asynccontextmanager
async def member(settings: BusSettings, folder: str, in_place_of: str | None = None) -> AsyncIterator[PartitionGroup]:
    """The only member of the budget's group, once it owns all partitions."""
    await count_partitions(settings, PARTITIONED_TOPICS)
    group = PartitionGroup(settings, "budget", PARTITIONED_TOPICS, COUNT, in_place_of)
    await group.start(folder)
    try:
        async with asyncio.timeout(SECONDS):
            while len(group.owned) < COUNT:
                await group.changed.wait()
                group.changed.clear()
        yield group
    finally:
        await group.stop()


async def claim(group: PartitionGroup, number: int = 0, *, has_state: bool = False) -> dict[tuple[str, int], int]:
    """Claim a partition, again while the group is not ready for that."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return dict(await group.claim(number, has_state=has_state))
            except RetryLater:
                await asyncio.sleep(0.1)


async def commit_unnoted(settings: BusSettings, offset: int) -> None:
    """Commit as a process without --partitioned does."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=f"{settings.group_prefix}-budget")
    await consumer.start()
    try:
        places = [Position(topic.name, number) for topic in PARTITIONED_TOPICS for number in range(COUNT)]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, offset))
    finally:
        await consumer.stop()


async def test_a_partition_s_state_stays_in_the_folder_that_began_with_it() -> None:
    async with open_kafka() as settings:
        async with member(settings, "first") as group:
            assert await claim(group) == {}
            await group.commit({(INVOCATIONS.name, 0): 7, (VERDICTS.name, 0): 0})
        async with member(settings, "other") as group:
            with pytest.raises(ConfigurationError, match=r"with the id first in its budget\.partitions\.json"):
                await claim(group)
            # Of the others nobody has state yet.
            assert await claim(group, 1) == {}
        async with member(settings, "first") as group:
            assert await claim(group) == {(INVOCATIONS.name, 0): 7}
            with pytest.raises(ConfigurationError, match="--in-place-of other"):
                await claim(group, 1)


async def test_it_is_noted_before_the_first_event_is_handled() -> None:
    async with open_kafka() as settings:
        async with member(settings, "killed") as group:
            await claim(group)
        async with member(settings, "other") as group:
            with pytest.raises(ConfigurationError, match="--in-place-of killed"):
                await claim(group)


async def test_a_lost_folder_is_replaced_by_its_name_alone() -> None:
    async with open_kafka() as settings:
        async with member(settings, "lost") as group:
            await claim(group)
            await group.commit({(INVOCATIONS.name, 0): 7})
        async with member(settings, "new", in_place_of="another") as group:
            with pytest.raises(ConfigurationError, match="--in-place-of lost"):
                await claim(group)
        async with member(settings, "new", in_place_of="lost") as group:
            assert await claim(group) == {(INVOCATIONS.name, 0): 7}
        # That is noted, so that the option may stay or go, and the lost folder may not come back.
        async with member(settings, "new") as group:
            assert await claim(group) == {(INVOCATIONS.name, 0): 7}
        async with member(settings, "lost") as group:
            with pytest.raises(ConfigurationError, match="--in-place-of new"):
                await claim(group)


async def test_what_a_single_process_handled_is_not_begun_without_its_state() -> None:
    async with open_kafka() as settings:
        await count_partitions(settings, PARTITIONED_TOPICS)
        await commit_unnoted(settings, 5)
        async with member(settings, "empty") as group:
            with pytest.raises(ConfigurationError, match=r"copy its snapshots/budget\.json"):
                await claim(group)
            assert await claim(group, 1, has_state=True) == {(topic.name, 1): 5 for topic in PARTITIONED_TOPICS}
        async with member(settings, "empty", in_place_of=UNKNOWN_FOLDER) as group:
            assert await claim(group) == {(topic.name, 0): 5 for topic in PARTITIONED_TOPICS}


async def test_a_process_of_its_own_does_not_begin_without_the_state_of_copies() -> None:
    async with open_kafka() as settings:
        await require_unshared(settings, "budget", PARTITIONED_TOPICS)
        await count_partitions(settings, PARTITIONED_TOPICS)
        await commit_unnoted(settings, 5)
        await require_unshared(settings, "budget", PARTITIONED_TOPICS)
        async with member(settings, "shared") as group:
            await claim(group, 3, has_state=True)
        with pytest.raises(ConfigurationError, match=r"pass --partitioned, and that --data.*--in-place-of shared"):
            await require_unshared(settings, "budget", PARTITIONED_TOPICS)
        await require_unshared(settings, "budget", PARTITIONED_TOPICS, in_place_of="shared")
        # Nobody has dealt out the state of this process's own folder, as after a disk that was full.
        await require_unshared(settings, "budget", PARTITIONED_TOPICS, own="shared")
        await require_unshared(settings, "evaluator", PARTITIONED_TOPICS)
        await require_unshared(settings.model_copy(update={"group_prefix": None}), "budget", PARTITIONED_TOPICS)


async def test_a_broker_that_takes_no_notes_is_worked_with_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    server = KafkaServer(properties="offset.metadata.max.bytes=16")
    await asyncio.to_thread(server.start)
    try:
        settings = BusSettings(bootstrap=server.bootstrap, group_prefix="test", replication_factor=1)
        for expected in ({}, {(INVOCATIONS.name, 0): 7}):
            async with member(settings, "folder") as group:
                assert await claim(group, has_state=bool(expected)) == expected
                await group.commit({(INVOCATIONS.name, 0): 7})
        assert "offset.metadata.max.bytes" in caplog.text
    finally:
        await asyncio.to_thread(server.stop)


async def test_nor_does_up_with_all_services_in_one_process(tmp_path: Path) -> None:
    async with open_kafka() as settings:
        await require_own_state(settings, tmp_path)
        async with member(settings, "shared") as group:
            await claim(group)
        with pytest.raises(ConfigurationError, match=r"the id shared in its budget\.partitions.*BUS_GROUP_PREFIX"):
            await require_own_state(settings, tmp_path)
        own = settings.model_copy(update={"group_prefix": "own"})
        await require_own_state(own, tmp_path)
        (tmp_path / "evaluator.partitions.json").write_text('{"id": "here", "count": 6}')
        with pytest.raises(ConfigurationError, match=r"the state of evaluator in .* is kept by partition"):
            await require_own_state(own, tmp_path)


async def test_without_a_broker_it_is_to_start_later() -> None:
    with pytest.raises(RetryLater, match="no broker at"):
        await require_unshared(BusSettings(bootstrap="127.0.0.1:1"), "budget", PARTITIONED_TOPICS)
