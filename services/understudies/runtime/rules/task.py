"""Define the rules of one task."""

import math
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from understudies.events import owner_and_base
from understudies.runtime.hours import parse_hours
from understudies.runtime.rules.groups import TAG_PREFIX, TENANT_FIELD
from understudies.runtime.rules.judge import check_judge_name

OverBudgetRule = Literal["student_only", "refuse"]
"""Once the daily budget is spent: serve confident student answers and refuse the rest, or refuse all calls."""

EscalationRule = Literal["teacher", "teacher_or_student", "refuse"]
"""If the student's confidence is too low: ask the teacher; or, should it fail, use the student's answer; or refuse."""

PromotionRule = Literal["automatic", "manual"]
"""Whether a student that is proven serves at once, or once a person has approved it."""

STUDENT_KINDS: Final = (
    "cache",
    "decision",
    "classifier",
    "extractor",
    "few_shot",
    "prompt_optimised",
    "lora",
    "api_fine_tune",
)
"""Kinds of student that `students` may name."""

MIN_DAILY_BUDGET_USD: Final = Decimal("1e-9")
MAX_DAILY_BUDGET_USD: Final = Decimal(9_000_000)
"""Smallest and largest daily budget in US dollars: between them, Redis counts exactly, to a billionth of a dollar."""

_UNSET = "none"


class TaskRules(BaseModel):
    """Rules of one task; unset ones are taken from `[defaults]`, and `"none"` unsets one that `[defaults]` sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    critical: bool = Field(default=False, description="never served by a student")
    min_agreement: float = Field(default=0.95, gt=0.5, lt=1, description="p0: agreement promised on served calls")
    judge: str | None = Field(default=None, description="judge by name; absent: chosen by the format of the answers")
    weekly_budget_usd: Decimal | None = Field(
        default=None, gt=0, description="target for the cost per week, against which the report measures the task"
    )
    daily_budget_usd: Decimal | None = Field(
        default=None,
        ge=MIN_DAILY_BUDGET_USD,
        le=MAX_DAILY_BUDGET_USD,
        description="most that the task may cost per day (UTC), teacher and students together",
    )
    over_budget: OverBudgetRule = Field(default="student_only", description="how to treat calls once that is spent")
    teacher: str | None = Field(default=None, description="X of the [teachers.X] that answers; absent: chosen by model")
    model: str | None = Field(default=None, description="teacher's model for calls that name `understudies/TASK`")
    students: tuple[str, ...] | None = Field(
        default=None, description="kinds or names of students that may serve, with * and ?; empty: none; absent: all"
    )
    promotion: PromotionRule = Field(
        default="automatic",
        description="whether a proven student serves at once, or after `understudies steer approve`",
    )
    escalation: EscalationRule = Field(default="teacher", description="who answers if the student's confidence is low")
    hold_back_tokens: int | None = Field(
        default=None, ge=0, description="most tokens of a student's stream to hold back, then ask the teacher"
    )
    episode_target: float | None = Field(
        default=None, gt=0.5, lt=1, description="probability that all calls of an episode agree with the teacher"
    )
    episode_steps: int | None = Field(
        default=None, ge=1, le=1000, description="calls of an episode that students may serve, which share its target"
    )
    cache_ttl_s: float | None = Field(
        default=None, gt=0, description="how long to cache an answer at temperature 0; absent: no cache"
    )
    dream_daily_budget_usd: Decimal | None = Field(
        default=None,
        gt=0,
        le=MAX_DAILY_BUDGET_USD,
        description="most to spend per day (UTC) on examples that the teacher writes to train on; absent: none",
    )
    dream_hours: str | None = Field(
        default=None, description="hours (UTC) in which to write them, such as 22-6; absent: the quietest eight"
    )
    require_consent: bool = Field(
        default=False,
        description="train on calls alone that are marked with consent; a call marked as refused never trains",
    )
    succession_days: int = Field(
        default=30,
        ge=0,
        le=365,
        description="days before its teacher's retirement from which the named successor is asked about part of the "
        "calls, to prove students against it; 0: never",
    )
    succession_sample: float = Field(
        default=0.1, gt=0, le=1, description="share of the calls about which the successor is asked in those days"
    )
    watch: tuple[str, ...] = Field(
        default=("tenant",),
        description="fields whose groups of calls are monitored separately: tenant, tags.NAME; empty: none",
    )

    @field_validator(
        "judge",
        "weekly_budget_usd",
        "daily_budget_usd",
        "teacher",
        "model",
        "hold_back_tokens",
        "episode_target",
        "episode_steps",
        "cache_ttl_s",
        "dream_daily_budget_usd",
        "dream_hours",
        mode="before",
    )
    @classmethod
    def _replace_none(cls, value: Any) -> Any:
        return None if value == _UNSET else value

    @field_validator("judge")
    @classmethod
    def _check_judge(cls, judge: str | None) -> str | None:
        return judge and check_judge_name(judge)

    @field_validator("students")
    @classmethod
    def _check_students(cls, students: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for entry in students or ():
            if entry not in STUDENT_KINDS and not any(sign in entry for sign in "@*?["):
                raise ValueError(
                    f"{entry!r} is neither a kind of student nor a student's name; "
                    f"use one of {', '.join(STUDENT_KINDS)}, or a name such as 'triage@3' or 'triage@*'"
                )
        return students

    @field_validator("dream_hours")
    @classmethod
    def _check_dream_hours(cls, window: str | None) -> str | None:
        if window is not None:
            parse_hours(window)
        return window

    @field_validator("watch")
    @classmethod
    def _check_watch(cls, watch: tuple[str, ...]) -> tuple[str, ...]:
        for field in watch:
            if field != TENANT_FIELD and not (field.startswith(TAG_PREFIX) and len(field) > len(TAG_PREFIX)):
                raise ValueError(f"{field!r} cannot be monitored; use 'tenant', or a tag such as 'tags.channel'")
        return watch

    def allows_student(self, name: str, kind: str | None = None) -> bool:
        """Return whether a student may serve the task, and so be trained for it."""
        if self.students is None:
            return True
        # The students of a tenant's own task are its own too: `acme:triage@3` also matches `triage@*`.
        names = (name, owner_and_base(name)[1])
        return any(entry == kind or fnmatchcase(one, entry) for entry in self.students for one in names)

    @property
    def agreement_per_call(self) -> float:
        """The agreement to prove per call: the task's own, or the higher one that its episode target requires."""
        if self.episode_target is None or self.episode_steps is None:
            return self.min_agreement
        return max(self.min_agreement, math.pow(self.episode_target, 1 / self.episode_steps))
