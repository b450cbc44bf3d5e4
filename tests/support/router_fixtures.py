"""Students, promotions and calls for tests of the router."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.chat_messages import user_request

from understudies.events import Drift, Invocation, Promotion, Request, Response, Usage, usd
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.recording.invocation import PendingInvocation
from understudies.students.base import Answer, Student, StudentError, text_answer

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ARTIFACT = "memory://students/triage"


def make_promotion(
    stage: str = "promoted", *, minute: float = 0, student: str = "triage@1", **fields: Any
) -> Promotion:
    """A stage of a student of the task `triage`, so many minutes past noon."""
    known = {"artifact": ARTIFACT, "threshold": 0.8, "share": 1.0, "audit_rate": 0.0}
    return Promotion.model_validate(
        {
            "id": f"{stage}-{student}-{minute}-{fields.get('share', '')}",
            "at": NOON + timedelta(minutes=minute),
            "task": "triage",
            "student": student,
            "stage": stage,
            **known,
            **fields,
        }
    )


def make_drift(
    tier: str = "contract", *, minute: float = 1, student: str = "triage@1", drifted: bool = True, **fields: Any
) -> Drift:
    """An alarm about a student of the task `triage`, so many minutes past noon."""
    return Drift.model_validate(
        {
            "id": f"drift-{tier}-{student}-{minute}",
            "at": NOON + timedelta(minutes=minute),
            "task": "triage",
            "student": student,
            "tier": tier,
            "drifted": drifted,
            "confidence": 0.999,
            "statistic": 1000.0,
            "audited": 40,
            **fields,
        }
    )


def make_call(number: int = 0, text: str = "hello", *, minute: float = 10, draw: float = 0.5, **fields: Any) -> Call:
    """A call of the task `triage`, so many minutes past noon."""
    request: Request = fields.pop("request", user_request(text))
    return Call(
        id=f"call-{number}",
        at=NOON + timedelta(minutes=minute),
        task=fields.pop("task", "triage"),
        request=request,
        sample=draw,
        model="gpt-4o-mini",
        **fields,
    )


def word_for(number: int) -> str:
    """A word of its own for each number; texts that differ in numbers alone are near copies."""
    return "word" + "".join("abcdefghij"[int(digit)] for digit in str(number))


class FixedStudent:
    """Always the same answer, however sure; fails or waits for ever when told."""

    kind = "fixed"

    def __init__(self, text: str = "student's answer", confidence: float = 0.9) -> None:
        self.reply: Answer | Exception = text_answer(text, confidence)
        self.asleep = False
        self.requests: list[Request] = []

    @property
    def asked(self) -> int:
        return len(self.requests)

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.requests += requests
        if self.asleep:
            await asyncio.Event().wait()
        if isinstance(self.reply, Exception):
            raise self.reply
        return [self.reply] * len(requests)


class StubLoader:
    """Loads one student, whatever the artifact; fails when there is none."""

    def __init__(self, student: Student | None) -> None:
        self.student = student
        self.loads: list[str] = []

    async def __call__(self, uri: str) -> Student:
        self.loads.append(uri)
        if self.student is None:
            raise StudentError("no such artifact")
        return self.student


class FixedTeacher:
    """Always the same answer at one cent, or an error."""

    def __init__(self) -> None:
        self.error: TeacherError | None = None
        self.calls: list[tuple[Call, bool]] = []

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        self.calls.append((call, fresh))
        if self.error is not None:
            raise self.error
        message = text_answer("teacher's answer", 1.0).message
        return TeacherAnswer(Response(message=message), "gpt-4o-mini", Usage(prompt_tokens=5), usd("0.01"), 3.0)


class InvocationCollector:
    """Keeps what is recorded; like the recorder, it leaves out what the redactor fails on."""

    def __init__(self) -> None:
        self.events: list[Invocation] = []

    def __call__(self, note: PendingInvocation) -> None:
        with contextlib.suppress(RuntimeError):
            self.events.append(note.invocation())
