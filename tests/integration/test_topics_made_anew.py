"""A topic that is deleted and made anew under a service: Kafka's consumers go on at their old offset without a word."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.support.brokers import open_kafka
from tests.support.kafka_server import delete_topics
from tests.support.sample_events import make_invocation

from understudies.budget.app import BudgetApp, create_app
from understudies.budget.settings import BudgetSettings
from understudies.events import INVOCATIONS, TOPICS, new_id
from understudies.runtime.bus import kafka_bus
from understudies.runtime.bus.admin import ensure_topics
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.topic_ids import fetch_topic_ids
from understudies.runtime.errors import StopService
from understudies.runtime.rules.rules import Rules
from understudies.runtime.runner import Runner
from understudies.runtime.settings import BusSettings
from understudies.runtime.snapshots import SnapshotStore

SECONDS = 180


@pytest.fixture
async def kafka(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BusSettings]:
    monkeypatch.setattr(kafka_bus, "_TOPIC_CHECK_S", 0.2)
    async with open_kafka() as settings:
        yield settings


async def make_anew(settings: BusSettings) -> None:
    """Delete all topics, and make them again."""
    await delete_topics(settings.bootstrap or "")
    async with asyncio.timeout(SECONDS):
        while set(await ensure_topics(settings)) or not await has_all(settings):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def has_all(settings: BusSettings) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap or "")
    await admin.start()
    try:
        return {topic.name for topic in TOPICS} <= set(await admin.list_topics())
    finally:
        await admin.close()


async def publish(settings: BusSettings, texts: Sequence[str]) -> None:
    bus = KafkaBus(settings, "outside")
    await bus.start()
    try:
        now = datetime.now(UTC)
        await bus.publish(*(make_invocation(text, task="triage", at=now, id=new_id(now)) for text in texts))
    finally:
        await bus.stop()


class Recorder:
    """Collects what is read."""

    def __init__(self) -> None:
        self.texts: list[Any] = []
        self._changed = asyncio.Condition()

    async def handle(self, records: Sequence[Record]) -> None:
        async with self._changed:
            self.texts += [INVOCATIONS.decode(record.value).request.messages[0].content for record in records]  # type: ignore[attr-defined]
            self._changed.notify_all()

    async def wait_for(self, text: str) -> None:
        async with asyncio.timeout(SECONDS), self._changed:
            await self._changed.wait_for(lambda: text in self.texts)


async def test_a_service_whose_topic_was_made_anew_stops_and_says_so(kafka: BusSettings) -> None:
    recorder = Recorder()
    bus = KafkaBus(kafka, "observer")
    bus.consume([INVOCATIONS], recorder.handle)
    await bus.start()
    try:
        await publish(kafka, ["first"])
        await recorder.wait_for("first")
        await make_anew(kafka)
        async with asyncio.timeout(SECONDS):
            with pytest.raises(StopService, match=r"\['invocations'\] were deleted while observer read them: start it"):
                await bus.wait_stopped()
    finally:
        await bus.stop()


async def test_a_topic_that_a_broker_does_not_know_for_a_moment_stops_nobody(
    kafka: BusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = iter([True, True, False] * 2 + [True] * 3)
    looked = 0

    async def look(settings: BusSettings, topics: Collection[str]) -> dict[str, str]:
        nonlocal looked
        found = await fetch_topic_ids(settings, topics)
        if not bus.topic_ids:
            return found
        looked += 1
        return {} if next(missing) else found

    monkeypatch.setattr(kafka_bus, "fetch_topic_ids", look)
    bus = KafkaBus(kafka, "observer")
    bus.consume([INVOCATIONS], Recorder().handle)
    await bus.start()
    try:
        async with asyncio.timeout(SECONDS):
            with pytest.raises(StopService, match="were deleted"):
                await bus.wait_stopped()
        assert looked == 9
    finally:
        await bus.stop()


async def test_without_a_group_a_topic_made_anew_is_read_from_its_beginning(kafka: BusSettings) -> None:
    alone = kafka.model_copy(update={"group_prefix": None})
    recorder = Recorder()
    bus = KafkaBus(alone, "router")
    bus.consume([INVOCATIONS], recorder.handle)
    await bus.start()
    try:
        await publish(kafka, [f"old {number}" for number in range(5)])
        await recorder.wait_for("old 4")
        await make_anew(kafka)
        # More than were read of the old one: without the check, the first five of these would be missing.
        await publish(kafka, [f"new {number}" for number in range(10)])
        await recorder.wait_for("new 0")
        await recorder.wait_for("new 9")
        assert {f"new {number}" for number in range(10)} <= set(recorder.texts)
    finally:
        await bus.stop()


async def run_budget(settings: BusSettings, folder: Path) -> tuple[Runner, BudgetApp, KafkaBus]:
    bus = KafkaBus(settings, "budget")
    app = create_app(BudgetSettings(), bus=bus, rules=Rules(), new_id=new_id)
    runner = Runner(
        app,
        bus,
        snapshots=SnapshotStore(folder),
        generation=settings.snapshot_generation,
        topic_ids_decide=not settings.generation,
    )
    await runner.start()
    return runner, app, bus


async def wait_calls(app: BudgetApp, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while app.task_state("triage").ledger.calls < count:  # noqa: ASYNC110 - folded by the runner
            await asyncio.sleep(0.05)


async def test_after_a_restart_a_topic_made_anew_is_read_from_its_beginning(
    kafka: BusSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner, app, _ = await run_budget(kafka, tmp_path)
    await publish(kafka, [f"old {number}" for number in range(5)])
    await wait_calls(app, 5)
    await runner.stop()
    await make_anew(kafka)
    await publish(kafka, [f"new {number}" for number in range(10)])
    runner, app, _ = await run_budget(kafka, tmp_path)
    try:
        await wait_calls(app, 15)
        assert app.task_state("triage").ledger.calls == 15
        assert "reads topic 'invocations' from its beginning: it was deleted and made anew" in caplog.text
    finally:
        await runner.stop()


async def test_after_a_restart_on_the_same_topics_nothing_is_read_twice(kafka: BusSettings, tmp_path: Path) -> None:
    runner, app, _ = await run_budget(kafka, tmp_path)
    await publish(kafka, [f"old {number}" for number in range(5)])
    await wait_calls(app, 5)
    await runner.stop()
    runner, app, bus = await run_budget(kafka, tmp_path)
    try:
        await publish(kafka, ["new"])
        await wait_calls(app, 6)
        assert app.task_state("triage").ledger.calls == 6
        assert set(bus.topic_ids) == {topic.name for topic in TOPICS}
    finally:
        await runner.stop()


async def test_after_a_restart_at_another_address_of_the_broker_nothing_is_missed(
    kafka: BusSettings, tmp_path: Path
) -> None:
    runner, app, bus = await run_budget(kafka, tmp_path)
    await publish(kafka, [f"old {number}" for number in range(5)])
    await wait_calls(app, 5)
    await runner.tick(datetime.now(UTC))
    # Handled and committed, and then killed before the next snapshot.
    await publish(kafka, ["later"])
    await wait_calls(app, 6)
    await bus.stop()
    assert kafka.bootstrap is not None
    host, _, port = kafka.bootstrap.rpartition(":")
    other = f"{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}"
    runner, app, _ = await run_budget(kafka.model_copy(update={"bootstrap": other}), tmp_path)
    try:
        await publish(kafka, ["new"])
        await wait_calls(app, 7)
        assert app.task_state("triage").ledger.calls == 7
    finally:
        await runner.stop()
