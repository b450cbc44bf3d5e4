"""Datasets are collected beside the sink, and in the end whatever happens meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.capturing_bus import to_records
from tests.support.observer_harness import ObserverHarness, run_observer
from tests.support.sample_events import START, make_invocation, make_promotion

from understudies.datasets.object_store import ObjectStore
from understudies.events import encode
from understudies.runtime.errors import RetryLater

Write = Callable[[ObjectStore, str, bytes], str]
write = ObjectStore.write


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[ObserverHarness]:
    async with run_observer(tmp_path) as scene:
        await scene.publish_and_wait(*[make_invocation(f"question {n}") for n in range(10)])
        yield scene


class Held:
    """Writing that begins and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, files: ObjectStore, path: str, content: bytes) -> str:
        self.begun.set()
        assert self.go_on.wait(30)
        return write(files, path, content)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    monkeypatch.setattr(ObjectStore, "write", lambda *given: held(*given))
    yield held
    held.go_on.set()


async def test_events_are_stored_while_a_dataset_is_collected(scene: ObserverHarness, held: Held) -> None:
    await scene.app.handle(to_records(make_promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    await scene.app.handle(to_records(make_invocation("meanwhile")))
    assert await scene.count("invocations") == 11
    assert scene.promotions == []
    held.go_on.set()
    await scene.in_flight.wait_until_idle()
    assert len(scene.read_last_dataset().examples) == 10


async def test_nothing_is_drained_before_the_dataset_is_there(scene: ObserverHarness, held: Held) -> None:
    drained = asyncio.create_task(scene.publish_and_wait(make_promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    assert (scene.in_flight.lag["observer"], drained.done()) == (1, False)
    held.go_on.set()
    await drained
    assert scene.last_collected().evidence["examples"] == 10


async def test_students_are_collected_for_one_after_the_other(scene: ObserverHarness) -> None:
    await scene.publish_and_wait(*[make_promotion(task=task) for task in ("triage", "b", "a")])
    assert [story.task for story in scene.promotions if story.stage == "collected"] == ["triage", "b", "a"]


async def test_what_was_authorised_before_a_start_and_not_collected_is_collected_for(tmp_path: Path) -> None:
    async with run_observer(tmp_path) as scene:
        stories = [make_promotion(), make_promotion(task="over"), make_promotion("retired", task="over", minutes=1)]
        await scene.store.insert("promotions", [encode(story) for story in stories])
        await scene.app.start()
        await scene.app.tick(START)
        await scene.in_flight.wait_until_idle()
        assert [(story.task, story.stage) for story in scene.promotions] == [("triage", "collected")]


def failing_once(error: Exception) -> Write:
    errors = [error]

    def fail(files: ObjectStore, path: str, content: bytes) -> str:
        if errors:
            raise errors.pop()
        return write(files, path, content)

    return fail


async def test_what_is_away_delays_a_dataset(scene: ObserverHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "write", failing_once(RetryLater("no answer")))
    await scene.publish_and_wait(make_promotion())
    assert [story.stage for story in scene.promotions] == ["authorised"]
    for seconds in (0, 5, 10):
        await scene.app.tick(START + timedelta(seconds=seconds))
        await scene.in_flight.wait_until_idle()
    assert [story.stage for story in scene.promotions] == ["authorised", "collected"]


async def test_a_dataset_that_breaks_the_observer_keeps_no_other_from_being_collected(
    scene: ObserverHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ObjectStore, "write", failing_once(RuntimeError("boom")))
    await scene.publish_and_wait(make_promotion(task="broken"), make_promotion())
    assert [story.task for story in scene.promotions if story.stage == "collected"] == ["triage"]
    assert caplog.records[0].exc_info is not None


async def test_a_stop_gives_up_what_is_collected_and_the_next_start_begins_it_again(
    scene: ObserverHarness, held: Held
) -> None:
    await scene.app.handle(to_records(make_promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    await asyncio.wait_for(scene.app.stop(), 5)
    held.go_on.set()
    assert [story.stage for story in scene.promotions] == []
    stages: list[dict[str, Any]] = await scene.store.query("SELECT stage FROM promotions")
    assert stages == [{"stage": "authorised"}]
