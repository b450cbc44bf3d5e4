"""Calls as a backtest plays them, and what a witness would have seen of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.capturing_bus import to_records
from tests.support.chat_messages import assistant_message, user_request

from understudies.backtest.replay.event_collector import EventCollector
from understudies.backtest.replay.schedule import ScheduledCall
from understudies.backtest.report.outcomes import CallOutcomes, select_judges
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
from understudies.importers.recorded_call import RecordedCall
from understudies.runtime.rules.rules import Rules

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TASK = "triage"
PRICE = usd("0.03")
STUDENT_PRICE = usd("0.0002")
_ids = SeededIds("tests.support.outcomes")


def hours_after_monday(number: float) -> datetime:
    return MONDAY + timedelta(hours=number)


def make_recorded_call(number: int = 0, answer: str = "refund", **changes: Any) -> RecordedCall:
    """A call as a log has it."""
    request = user_request(f"request {number}")
    known: dict[str, Any] = {
        "line": number + 1,
        "at": None,
        "task": TASK,
        "request": request,
        "response": Response(message=assistant_message(answer)),
        "model": "teacher-1",
        "usage": Usage(),
        "recorded_cost": None,
        "latency_ms": 250.0,
        "tags": {},
        "critical": False,
        "fingerprint": fingerprint(request),
    }
    return RecordedCall(**{**known, **changes})


def make_scheduled_call(
    hour: float, number: int = 0, *, task: str = TASK, price: Decimal = PRICE, **changes: Any
) -> ScheduledCall:
    """A call with its place in the play."""
    return ScheduledCall(
        f"call-{task}-{number}",
        hours_after_monday(hour),
        task,
        make_recorded_call(number, task=task, **changes),
        price,
        0.5,
    )


def hourly_calls(count: int, *, first: float = 0, task: str = TASK) -> list[ScheduledCall]:
    """A call at each hour."""
    return [make_scheduled_call(first + number, number, task=task) for number in range(count)]


def teacher_invocation(call: ScheduledCall, **changes: Any) -> Invocation:
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


def student_invocation(call: ScheduledCall, answer: str = "refund", **changes: Any) -> Invocation:
    """The call as a student answered it."""
    known: dict[str, Any] = {
        "served_by": "student",
        "student": f"{call.task}@1",
        "confidence": 0.9,
        "response": Response(message=assistant_message(answer)),
        "cost_usd": STUDENT_PRICE,
        "route": Route(reason="promoted"),
    }
    return teacher_invocation(call, **{**known, **changes})


def escalated_invocation(call: ScheduledCall) -> Invocation:
    """The call as the teacher answered it after a student had passed it on."""
    route = Route(reason="low_confidence", student_cost_usd=STUDENT_PRICE)
    return teacher_invocation(call, student=f"{call.task}@1", cost_usd=usd(call.price + STUDENT_PRICE), route=route)


def audit_invocation(call: ScheduledCall) -> Invocation:
    """The teacher's answer to a call that was served already."""
    return teacher_invocation(call, id=_ids(call.at), origin="audit", audits=call.id)


def make_verdict(call: ScheduledCall, agreed: bool = True, *, version: int = 1, **changes: Any) -> Verdict:
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


def make_promotion(stage: Any, hour: float, *, version: int = 1, task: str = TASK, **changes: Any) -> Promotion:
    """A stage of a student's story."""
    at = hours_after_monday(hour)
    return Promotion(id=_ids(at), at=at, task=task, student=f"{task}@{version}", stage=stage, **changes)


async def collect_events(*events: Event) -> EventCollector:
    """A witness that was told the events."""
    witness = EventCollector()
    await witness.handle(to_records(*events))
    return witness


async def make_outcomes(calls: Sequence[ScheduledCall], *events: Event, rules: Rules | None = None) -> CallOutcomes:
    """What became of the calls, by the events."""
    return CallOutcomes(calls, await collect_events(*events), select_judges(calls, rules or Rules()), STUDENT_PRICE)
