"""Settings of the budget service."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class BudgetSettings(BaseSettings):
    """Settings of the budget service, read from the environment with prefix `UNDERSTUDIES_BUDGET_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_BUDGET_", frozen=True)

    min_examples: int = Field(default=400, ge=20, description="distinct answered inputs needed for a first student")
    examples_per_class: int = Field(
        default=25, ge=0, description="distinct answered inputs needed for each answer of a closed set"
    )
    growth_after_rejection: float = Field(
        default=2.0,
        gt=1,
        description="a successor needs this many times the examples of earlier students, if the latest was rejected",
    )
    lost_hours: float = Field(
        default=48, gt=0, description="time without progress after which a student that is not trained yet is retired"
    )
    rest_hours: float = Field(
        default=24,
        ge=0,
        description="minimum time between two students of a task: one takes a day of calls to prove",
    )
    growth: float = Field(
        default=2.0, gt=1, description="a successor needs this many times the examples of earlier students"
    )
    student_cost_usd: Decimal = Field(default=Decimal("0.0002"), ge=0, description="price of one student answer")
    training_cost_usd: Decimal = Field(default=Decimal("0.50"), ge=0, description="price of training one student")
    shadow_verdicts: int = Field(default=2000, ge=0, description="student answers that a trial is expected to need")
    fresh_verdicts: int = Field(
        default=500, ge=0, description="of these trial answers, those to audited calls of the serving student"
    )
    expected_share: float = Field(default=0.5, gt=0, le=1, description="share a first student is expected to serve")
    expected_gain: float = Field(default=0.10, ge=0, le=1, description="share a successor is expected to add")
    canary: tuple[float, ...] = Field(default=(0.25, 0.5, 1.0), description="shares of the ramp, in (0, 1]")
    step_hours: float = Field(default=1, ge=0, description="minimum time at one step of the ramp")
    step_verdicts: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(10, 35),
        min_length=1,
        description="audited verdicts that each step of the ramp needs; the last holds for all later steps",
    )
    step_evidence: float = Field(
        default=1.5, gt=0, description="e-value against the required agreement above which the ramp does not advance"
    )
    trial_calls_per_day: float = Field(
        default=500,
        gt=0,
        description="calls to sample a day as evidence while a successor is on trial or looser thresholds may pay",
    )
    successor_weeks: float = Field(
        default=12,
        ge=1,
        description="weeks that a successor, or a looser threshold, is expected to last and pay back in",
    )
    audits_per_day: float = Field(default=20, gt=0, description="target number of audited verdicts per day and student")
    max_audit_rate: float = Field(
        default=0.25, gt=0, le=1, description="maximum audited share of served calls at full share"
    )
    min_audit_rate: float = Field(default=0.02, gt=0, le=1, description="minimum audited share of served calls")

    @field_validator("step_verdicts", mode="before")
    @classmethod
    def _same_for_all_steps(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value
