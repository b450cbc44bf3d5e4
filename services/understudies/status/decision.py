"""A person's decision about a task: as it is asked for, and as it is told."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from understudies.events import NewId, Promotion, Steering, SteeringAction, TaskName, Utc, steer

PublishDecision = Callable[[Promotion], Awaitable[None]]
"""Publishes a decision; returns once it is kept."""

DECISION_WORDS: Final[dict[SteeringAction, str]] = {
    "pause": "paused",
    "resume": "resumed",
    "demote": "demotion decided",
    "retire": "retirement decided",
    "pin": "pinned",
    "unpin": "unpinned",
    "approve": "approved",
    "retrain": "retraining asked for",
    "mark_critical": "marked critical",
    "unmark_critical": "no longer critical",
}


class DecisionRefused(ValueError):  # noqa: N818 - named by what happened
    """Report a decision that would change nothing, or that the state of the task does not allow."""


class DecisionRequest(BaseModel):
    """What a person decides; without a student, the one that it can only be about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName
    action: SteeringAction
    by: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    student: str | None = Field(default=None, max_length=300)

    @field_validator("by", "why", mode="before")
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("student", mode="before")
    @classmethod
    def _drop_empty(cls, value: object) -> object:
        return value or None

    def to_event(self, student: str | None, now: datetime, new_id: NewId) -> Promotion:
        """Return the event of the decision."""
        steering = Steering(action=self.action, by=self.by, student=student)
        return steer(self.task, steering, self.why, at=now, event_id=new_id(now))


class DecisionInForce(BaseModel):
    """A person's decision that holds for a task now."""

    model_config = ConfigDict(frozen=True)

    what: str
    by: str
    at: Utc
    why: str
    student: str | None = None

    def __str__(self) -> str:
        student = f" {self.student}" if self.student else ""
        return f"{self.what}{student} by {self.by} at {self.at:%Y-%m-%d %H:%M} UTC: {self.why}"
