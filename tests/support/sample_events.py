"""Events to test with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from understudies.events import Invocation, Message, Promotion, Request, Response, SeededIds, Verdict, fingerprint

START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
event_ids = SeededIds("tests.support.events")


def make_request(text: str) -> Request:
    """A request of one user message."""
    return Request(messages=(Message(role="user", content=text),))


def make_invocation(
    text: str = "hello", answer: str = "world", *, task: str = "triage", at: datetime = START, **rest: Any
) -> Invocation:
    """A call that the teacher answered."""
    asked = make_request(text)
    fields: dict[str, Any] = {
        "id": event_ids(at),
        "at": at,
        "task": task,
        "model": "teacher-1",
        "request": asked,
        "response": Response(message=Message(role="assistant", content=answer)),
        "fingerprint": fingerprint(asked),
    }
    return Invocation(**{**fields, **rest})


def make_promotion(
    stage: Any = "authorised", *, task: str = "triage", version: int = 1, minutes: float = 0, **rest: Any
) -> Promotion:
    """A stage of the task's student of a version."""
    at = START + timedelta(minutes=minutes)
    return Promotion(id=event_ids(at), at=at, task=task, student=f"{task}@{version}", stage=stage, **rest)


def make_verdict_on(call: Invocation) -> Verdict:
    """A disagreement about a call, found in shadow."""
    return Verdict(
        id=event_ids(call.at),
        at=call.at,
        task=call.task,
        invocation=call.id,
        student=f"{call.task}@1",
        phase="shadow",
        agreed=False,
        score=0.0,
        judge="exact",
        fingerprint=call.fingerprint,
    )
