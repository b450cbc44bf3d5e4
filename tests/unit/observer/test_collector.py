"""Datasets are collected beside the sink, and in the end whatever happens meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.events import START, invocation, promotion
from tests.support.observer import Scene, observing
from tests.support.recorder import records

from understudies.events import encode
from understudies.runtime import RetryLater
from understudies.students import Files

Write = Callable[[Files, str, bytes], str]
write = Files.write


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with observing(tmp_path) as scene:
        await scene.play(*[invocation(f"question {n}") for n in range(10)])
        yield scene


class Held:
    """Writing that begins and goes on when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, files: Files, path: str, content: bytes) -> str:
        self.begun.set()
        assert self.go_on.wait(30)
        return write(files, path, content)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    monkeypatch.setattr(Files, "write", lambda *given: held(*given))
    yield held
    held.go_on.set()


async def test_events_are_stored_while_a_dataset_is_collected(scene: Scene, held: Held) -> None:
    await scene.app.handle(records(promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    await scene.app.handle(records(invocation("meanwhile")))
    assert await scene.count("invocations") == 11
    assert scene.stories == []
    held.go_on.set()
    await scene.flow.drained()
    assert len(scene.dataset().examples) == 10


async def test_nothing_is_drained_before_the_dataset_is_there(scene: Scene, held: Held) -> None:
    drained = asyncio.create_task(scene.play(promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    assert (scene.flow.lag, drained.done()) == ({"observer": 1}, False)
    held.go_on.set()
    await drained
    assert scene.collected().evidence["examples"] == 10


async def test_students_are_collected_for_one_after_the_other(scene: Scene) -> None:
    await scene.play(*[promotion(task=task) for task in ("triage", "b", "a")])
    assert [story.task for story in scene.stories if story.stage == "collected"] == ["triage", "b", "a"]


async def test_what_was_authorised_before_a_start_and_not_collected_is_collected_for(tmp_path: Path) -> None:
    async with observing(tmp_path) as scene:
        stories = [promotion(), promotion(task="over"), promotion("retired", task="over", minutes=1)]
        await scene.store.insert("promotions", [encode(story) for story in stories])
        await scene.app.start()
        await scene.app.tick(START)
        await scene.flow.drained()
        assert [(story.task, story.stage) for story in scene.stories] == [("triage", "collected")]


def failing_once(error: Exception) -> Write:
    errors = [error]

    def fail(files: Files, path: str, content: bytes) -> str:
        if errors:
            raise errors.pop()
        return write(files, path, content)

    return fail


async def test_what_is_away_delays_a_dataset(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "write", failing_once(RetryLater("no answer")))
    await scene.play(promotion())
    assert [story.stage for story in scene.stories] == ["authorised"]
    for seconds in (0, 5, 10):
        await scene.app.tick(START + timedelta(seconds=seconds))
        await scene.flow.drained()
    assert [story.stage for story in scene.stories] == ["authorised", "collected"]


async def test_a_dataset_that_breaks_the_observer_keeps_no_other_from_being_collected(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Files, "write", failing_once(RuntimeError("boom")))
    await scene.play(promotion(task="broken"), promotion())
    assert [story.task for story in scene.stories if story.stage == "collected"] == ["triage"]
    assert caplog.records[0].exc_info is not None


async def test_a_stop_gives_up_what_is_collected_and_the_next_start_begins_it_again(scene: Scene, held: Held) -> None:
    await scene.app.handle(records(promotion()))
    assert await asyncio.to_thread(held.begun.wait, 30)
    await asyncio.wait_for(scene.app.stop(), 5)
    held.go_on.set()
    assert [story.stage for story in scene.stories] == []
    stages: list[dict[str, Any]] = await scene.store.query("SELECT stage FROM promotions")
    assert stages == [{"stage": "authorised"}]
