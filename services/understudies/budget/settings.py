"""Settings of the budget service."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class BudgetSettings(BaseSettings):
    """Read from the environment, prefix `UNDERSTUDIES_BUDGET_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_BUDGET_", frozen=True)

    min_examples: int = Field(default=400, ge=20, description="distinct answered inputs before a first student")
    examples_per_class: int = Field(default=25, ge=0, description="the same for each answer of a closed set")
    growth_after_rejection: float = Field(default=2.0, gt=1, description="the same after a student was rejected")
    lost_hours: float = Field(default=48, gt=0, description="silence after which a student in the making is given up")
    rest_hours: float = Field(
        default=50,
        ge=0,
        description="least time between two students of a task: two days of calls prove one",
    )
    growth: float = Field(default=1.5, gt=1, description="a new student is considered at this many times the examples")
    student_cost_usd: Decimal = Field(default=Decimal("0.0002"), ge=0, description="price of one student answer")
    training_cost_usd: Decimal = Field(default=Decimal("0.50"), ge=0, description="compute for one student")
    shadow_verdicts: int = Field(default=2000, ge=0, description="student answers that a trial is expected to take")
    fresh_verdicts: int = Field(default=1000, ge=0, description="of these, from calls kept back from the one in force")
    expected_share: float = Field(default=0.5, gt=0, le=1, description="share a first student is expected to serve")
    expected_gain: float = Field(default=0.10, ge=0, le=1, description="share a successor is expected to add")
    canary: tuple[float, ...] = Field(default=(0.05, 0.25, 1.0), description="shares of the ramp, in (0, 1]")
    step_hours: float = Field(default=12, ge=0, description="least time at one step of the ramp")
    step_verdicts: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(10, 35),
        min_length=1,
        description="audited verdicts that the steps of the ramp take; the last is for all others",
    )
    step_evidence: float = Field(
        default=1.5, gt=0, description="evidence against the promise at which a step of the ramp is held, an e-value"
    )
    patience_hours: float = Field(default=72, ge=0, description="longest wait below full share for looser thresholds")
    control_share: float = Field(
        default=0.5, gt=0, lt=1, description="calls kept from a student in force while its successor is on trial"
    )
    audits_per_day: float = Field(default=20, gt=0, description="audited verdicts to aim for, a day and student")
    max_audit_rate: float = Field(default=0.25, gt=0, le=1, description="the same, at most, once at full share")
    min_audit_rate: float = Field(default=0.02, gt=0, le=1, description="audited share of served calls, at least")

    @field_validator("step_verdicts", mode="before")
    @classmethod
    def _same_for_all_steps(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value
