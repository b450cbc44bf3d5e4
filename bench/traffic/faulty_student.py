"""A serving path that is worse than what was proven: a part of the answers is spoilt on the way to the caller."""

import random
from collections.abc import Sequence
from dataclasses import replace

from understudies.embedded.platform import Platform
from understudies.events import Message, Request, fingerprint, position
from understudies.students.base import Answer, Student


class FaultyStudent:
    """A student some of whose answers are another call's; which ones, the request decides."""

    def __init__(self, student: Student, rate: float) -> None:
        self._student = student
        self._rate = rate
        self._seen: list[str] = []

    @property
    def kind(self) -> str:
        return self._student.kind

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """The student's answers, with the student's confidence."""
        answers = await self._student.answer(requests)
        return [self._corrupt_some(request, answer) for request, answer in zip(requests, answers, strict=True)]

    def _corrupt_some(self, request: Request, answer: Answer) -> Answer:
        self._seen.append(answer.text)
        where = position(fingerprint(request), "spoilt")
        others = sorted({text for text in self._seen if text != answer.text})
        if where >= self._rate or not others:
            return answer
        return replace(answer, message=Message(role="assistant", content=random.Random(where).choice(others)))


def corrupt_answers(platform: Platform, rate: float) -> None:
    """Have the router's students spoilt; those that answer in shadow are loaded elsewhere, and are not."""
    roster = platform.router.call_service.student_registry
    load = roster._load

    async def loaded(uri: str) -> Student:
        return FaultyStudent(await load(uri), rate)

    roster._load = loaded
