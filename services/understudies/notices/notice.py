"""Decide which events are worth a notice, and word it."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from understudies.events import Drift, Event, Promotion, Stage, Utc

NoticeKind = Literal["promoted", "demoted", "retired", "rejected", "drift", "budget", "steered"]

_NOTIFIED_STAGES: Final[dict[Stage, NoticeKind]] = {
    "promoted": "promoted",
    "demoted": "demoted",
    "retired": "retired",
    "rejected": "rejected",
}
_CHANGES: Final = {
    "traffic": "it is confident on a different share of calls than was proven",
    "teacher": "another model answers as the teacher",
    "calendar": "the first calls of a kind of day on which it was not judged",
}


class Notice(BaseModel):
    """One notice: what happened to a task, and why; a reason may name classes of answers, so it is never logged."""

    model_config = ConfigDict(frozen=True)

    id: str
    at: Utc
    kind: NoticeKind
    task: str
    student: str | None = None
    text: str
    reason: str = ""


def notice_of(event: Event, share_before: float | None) -> Notice | None:
    """Return the notice of an event; None if it changes nothing for a user.

    `share_before` is the share that the student served before: a promotion that leaves it as it is, as one that only
    changes audits or thresholds, is no news.
    """
    if isinstance(event, Drift):
        return _notice(event, "drift", event.student, _describe_drift(event))
    if isinstance(event, Promotion) and event.steering is not None:
        student = f" {event.steering.student}" if event.steering.student else ""
        text = f"{event.steering.by} decided: {event.steering.action.replace('_', ' ')}{student}"
        return _notice(event, "steered", event.steering.student or "", text, event.reason)
    if not isinstance(event, Promotion) or event.stage not in _NOTIFIED_STAGES:
        return None
    if event.stage == "promoted":
        if event.share == share_before:
            return None
        text = f"{event.student} serves {event.share:.0%} of the eligible calls"
    else:
        text = f"{event.student} was {event.stage}"
    return _notice(event, _NOTIFIED_STAGES[event.stage], event.student, text, event.reason)


def budget_notice(name: str, spent: Decimal, budget: Decimal, now: datetime, *, of_tenant: bool) -> Notice:
    """Return the notice that a task's or tenant's daily budget is nearly spent; one id for each day."""
    whose = f"tenant {name}" if of_tenant else name
    return Notice(
        id=f"budget-{now:%Y-%m-%d}-{'tenant' if of_tenant else 'task'}-{name}",
        at=now,
        kind="budget",
        task="" if of_tenant else name,
        text=f"the budget of {whose} is nearly spent: ${spent:,.2f} of ${budget:,.2f} since midnight, UTC",
    )


def _notice(event: Event, kind: NoticeKind, student: str, text: str, reason: str = "") -> Notice:
    return Notice(
        id=event.id, at=event.at, kind=kind, task=event.task, student=student or None, text=text, reason=reason
    )


def _describe_drift(event: Drift) -> str:
    if event.cause != "agreement":
        return f"{event.student} must be proven again: {_CHANGES[event.cause]}"
    after = "" if event.agreement_after is None else f" to {event.agreement_after:.1%}"
    fell = f"agreement of {event.student} fell{after} after {event.audited} audited verdicts"
    return f"{fell}; the teacher answers" if event.tier == "contract" else f"warning: {fell}; it is audited more often"
