"""Calls as a backtest plays them, and what a witness would have seen of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.messages import asked, said
from tests.support.recorder import records

from understudies.backtest.accounts import Outcomes, judges_of
from understudies.backtest.play import Scheduled
from understudies.backtest.recorded import RecordedCall
from understudies.backtest.witness import Witness
from understudies.events import (
    Event,
    Invocation,
    Promotion,
    Response,
    Route,
    SeededIds,
    Usage,
    Verdict,
    fingerprint,
    usd,
)
from understudies.runtime.rules import Rules

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TASK = "triage"
PRICE = usd("0.03")
STUDENT_PRICE = usd("0.0002")
_ids = SeededIds("tests.support.outcomes")


def hours(number: float) -> datetime:
    return MONDAY + timedelta(hours=number)


def recorded(number: int = 0, answer: str = "refund", **changes: Any) -> RecordedCall:
    """A call as a log has it."""
    request = asked(f"request {number}")
    known: dict[str, Any] = {
        "line": number + 1,
        "at": None,
        "task": TASK,
        "request": request,
        "response": Response(message=said(answer)),
        "model": "teacher-1",
        "usage": Usage(),
        "recorded_cost": None,
        "latency_ms": 250.0,
        "tags": {},
        "critical": False,
        "fingerprint": fingerprint(request),
    }
    return RecordedCall(**{**known, **changes})


def scheduled(hour: float, number: int = 0, *, task: str = TASK, price: Decimal = PRICE, **changes: Any) -> Scheduled:
    """A call with its place in the play."""
    return Scheduled(f"call-{task}-{number}", hours(hour), task, recorded(number, task=task, **changes), price, 0.5)


def every_hour(count: int, *, first: float = 0, task: str = TASK) -> list[Scheduled]:
    """A call at each hour."""
    return [scheduled(first + number, number, task=task) for number in range(count)]


def by_teacher(call: Scheduled, **changes: Any) -> Invocation:
    """The call as the teacher answered it."""
    known: dict[str, Any] = {
        "id": call.id,
        "at": call.at,
        "task": call.task,
        "request": call.call.request,
        "response": call.call.response,
        "fingerprint": call.call.fingerprint,
        "cost_usd": call.price,
        "route": Route(reason="no_student"),
    }
    return Invocation(**{**known, **changes})


def by_student(call: Scheduled, answer: str = "refund", **changes: Any) -> Invocation:
    """The call as a student answered it."""
    known: dict[str, Any] = {
        "served_by": "student",
        "student": f"{call.task}@1",
        "confidence": 0.9,
        "response": Response(message=said(answer)),
        "cost_usd": STUDENT_PRICE,
        "route": Route(reason="promoted"),
    }
    return by_teacher(call, **{**known, **changes})


def escalated(call: Scheduled) -> Invocation:
    """The call as the teacher answered it after a student had passed it on."""
    route = Route(reason="low_confidence", student_cost_usd=STUDENT_PRICE)
    return by_teacher(call, student=f"{call.task}@1", cost_usd=usd(call.price + STUDENT_PRICE), route=route)


def audit(call: Scheduled) -> Invocation:
    """The teacher's answer to a call that was served already."""
    return by_teacher(call, id=_ids(call.at), origin="audit", audits=call.id)


def verdict(call: Scheduled, agreed: bool = True, *, version: int = 1, **changes: Any) -> Verdict:
    """A student's answer compared with the teacher's, in shadow."""
    known: dict[str, Any] = {
        "id": _ids(call.at),
        "at": call.at,
        "task": call.task,
        "invocation": call.id,
        "student": f"{call.task}@{version}",
        "phase": "shadow",
        "agreed": agreed,
        "score": float(agreed),
        "judge": "label",
        "confidence": 0.9,
        "fingerprint": call.call.fingerprint,
    }
    return Verdict(**{**known, **changes})


def story(stage: Any, hour: float, *, version: int = 1, task: str = TASK, **changes: Any) -> Promotion:
    """A stage of a student's story."""
    at = hours(hour)
    return Promotion(id=_ids(at), at=at, task=task, student=f"{task}@{version}", stage=stage, **changes)


async def witness_of(*events: Event) -> Witness:
    """A witness that was told the events."""
    witness = Witness()
    await witness.handle(records(*events))
    return witness


async def outcomes(calls: Sequence[Scheduled], *events: Event, rules: Rules | None = None) -> Outcomes:
    """What became of the calls, by the events."""
    return Outcomes(calls, await witness_of(*events), judges_of(calls, rules or Rules()), STUDENT_PRICE)
