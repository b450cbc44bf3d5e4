"""Students are loaded once, the least used are let go of, and let go of means closed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import Request
from understudies.runtime.errors import RetryLater
from understudies.students import student_cache
from understudies.students.base import Answer, Student, text_answer
from understudies.students.student_cache import StudentCache


class Closable:
    kind = "closable"

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [text_answer("x", 1.0) for _ in requests]

    async def close(self) -> None:
        self.closed.set()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Student]:
    """What was loaded, in order."""
    students: list[Student] = []

    def load(files: ObjectStore, uri: str, *rest: object) -> Student:
        if uri == "gone":
            raise ArtifactError("no such artifact")
        if uri == "away" and not students:
            students.append(Closable())
            raise RetryLater("no answer")
        students.append(Closable())
        return students[-1]

    monkeypatch.setattr(student_cache, "load_student", load)
    return students


def made(tmp_path: Path, keep: int = 2) -> StudentCache:
    return StudentCache(ObjectStore(f"file://{tmp_path}"), capacity=keep)


async def test_a_student_is_loaded_once(tmp_path: Path, loaded: list[Student]) -> None:
    kept = made(tmp_path)
    first, again = await asyncio.gather(kept.get("a"), kept.get("a"))
    assert first is again
    assert len(loaded) == 1
    await kept.close()


async def test_the_least_used_is_let_go_of_and_closed(tmp_path: Path, loaded: list[Student]) -> None:
    kept = made(tmp_path)
    a, b = await kept.get("a"), await kept.get("b")
    assert await kept.get("a") is a
    await kept.get("c")
    assert isinstance(b, Closable)
    await b.closed.wait()
    assert isinstance(a, Closable)
    assert not a.closed.is_set()
    await kept.close()
    assert all(isinstance(student, Closable) and student.closed.is_set() for student in loaded)
    assert await kept.get("a") is not a
    await kept.close()


async def test_one_that_is_let_go_of_while_it_loads_is_closed_too(tmp_path: Path, loaded: list[Student]) -> None:
    kept = made(tmp_path, keep=1)
    await asyncio.gather(*(kept.get(uri) for uri in "abc"))
    await kept.close()
    assert [isinstance(student, Closable) and student.closed.is_set() for student in loaded] == [True] * 3


async def test_nobody_waits_twice_for_what_was_away_a_moment_ago(tmp_path: Path, loaded: list[Student]) -> None:
    now = 100.0
    kept = StudentCache(ObjectStore(f"file://{tmp_path}"), timer=lambda: now)
    with pytest.raises(RetryLater, match="no answer"):
        await kept.get("away")
    now += 9
    with pytest.raises(RetryLater, match="a moment ago"):
        await kept.get("away")
    now += 1
    assert await kept.get("away") is loaded[1]
    await kept.close()


async def test_what_cannot_be_loaded_is_tried_again(tmp_path: Path, loaded: list[Student]) -> None:
    kept = made(tmp_path)
    for _ in range(2):
        with pytest.raises(ArtifactError):
            await kept.get("gone")
    await kept.close()


async def test_what_is_released_is_closed_and_loaded_again_when_asked_for(
    tmp_path: Path, loaded: list[Student]
) -> None:
    cache = made(tmp_path)
    first = await cache.get("a")
    cache.release("a")
    cache.release("unknown")
    assert isinstance(first, Closable)
    await asyncio.wait_for(first.closed.wait(), 5)
    assert await cache.get("a") is not first
    assert len(loaded) == 2
