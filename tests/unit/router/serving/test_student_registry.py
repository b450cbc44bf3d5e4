"""Loading students once."""

import asyncio
from datetime import timedelta

import pytest
from tests.support.router_fixtures import ARTIFACT, NOON, FixedStudent, StubLoader

from understudies.datasets.errors import ArtifactError
from understudies.router.serving.student_registry import RETRY_AFTER, StudentRegistry
from understudies.runtime.errors import RetryLater
from understudies.students.base import Student, StudentError


async def test_a_student_is_loaded_once() -> None:
    student = FixedStudent()
    load = StubLoader(student)
    roster = StudentRegistry(load)
    found = await asyncio.gather(*(roster.get(ARTIFACT, NOON) for _ in range(5)))
    assert all(one is student for one in found)
    assert load.loads == [ARTIFACT]


async def test_a_failed_load_is_tried_again_after_a_while() -> None:
    load = StubLoader(None)
    roster = StudentRegistry(load)
    for moment in (NOON, NOON + timedelta(seconds=1)):
        with pytest.raises(StudentError, match="cannot be loaded"):
            await roster.get(ARTIFACT, moment)
    assert len(load.loads) == 1
    load.student = FixedStudent()
    assert await roster.get(ARTIFACT, NOON + RETRY_AFTER) is load.student


async def test_a_student_whose_artifact_is_away_is_loaded_once_it_is_back() -> None:
    outcomes: list[Exception | Student] = [RetryLater("no answer"), FixedStudent()]

    async def load(_: str) -> Student:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    roster = StudentRegistry(load)
    with pytest.raises(StudentError, match="cannot be loaded"):
        await roster.get(ARTIFACT, NOON)
    assert isinstance(await roster.get(ARTIFACT, NOON + RETRY_AFTER), FixedStudent)


async def test_why_a_student_could_not_be_loaded_is_known_until_it_is_loaded_or_released() -> None:
    outcomes: list[Exception | Student] = [ValueError("of a prompt"), ArtifactError("no such file"), FixedStudent()]

    async def load(_: str) -> Student:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    roster = StudentRegistry(load)
    told = []
    for attempt in range(3):
        await roster.preload(ARTIFACT, NOON + attempt * RETRY_AFTER)
        told.append(dict(roster.failures))
    assert told == [{ARTIFACT: "ValueError"}, {ARTIFACT: "no such file"}, {}]
    outcomes.append(ArtifactError("no such file"))
    roster.retain(())
    await roster.preload(ARTIFACT, NOON)
    roster.retain(())
    assert roster.failures == {}


async def test_whoever_stops_waiting_does_not_stop_the_load() -> None:
    loaded = asyncio.Event()
    student = FixedStudent()

    async def slow(_: str) -> Student:
        await loaded.wait()
        return student

    roster = StudentRegistry(slow)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(roster.get(ARTIFACT, NOON), 0.001)
    loaded.set()
    await roster.wait_idle()
    assert await asyncio.wait_for(roster.get(ARTIFACT, NOON), 5) is student


async def test_a_student_let_go_is_loaded_anew() -> None:
    load = StubLoader(FixedStudent())
    roster = StudentRegistry(load)
    await roster.get(ARTIFACT, NOON)
    roster.retain({ARTIFACT})
    await roster.get(ARTIFACT, NOON)
    assert len(load.loads) == 1
    roster.retain(())
    await roster.get(ARTIFACT, NOON)
    assert len(load.loads) == 2


class Slow:
    """Loads a student when told to."""

    def __init__(self) -> None:
        self.student = FixedStudent()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended_by: BaseException | None = None

    async def __call__(self, uri: str) -> Student:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError as error:
            self.ended_by = error
            raise
        return self.student


async def test_a_student_let_go_while_a_call_waits_for_it_still_answers_that_call() -> None:
    load = Slow()
    roster = StudentRegistry(load)
    waiting = asyncio.ensure_future(roster.get(ARTIFACT, NOON))
    await load.begun.wait()
    roster.retain(())
    load.go_on.set()
    assert await asyncio.wait_for(waiting, 5) is load.student


async def test_closing_ends_all_loads() -> None:
    load = Slow()
    roster = StudentRegistry(load)
    task = roster.preload(ARTIFACT, NOON)
    await load.begun.wait()
    roster.close()
    await asyncio.wait([task], timeout=5)
    assert isinstance(load.ended_by, asyncio.CancelledError)
