"""Settings of judges that ask a model or run code."""

from decimal import Decimal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class JudgeSettings(BaseSettings):
    """Settings of judges, read from the environment with prefix `UNDERSTUDIES_JUDGE_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_JUDGE_", frozen=True)

    daily_budget_usd: Decimal = Field(
        default=Decimal(5), ge=0, description="most that a process spends a day (UTC) on asking models to judge"
    )
    audit_share: Decimal = Field(
        default=Decimal("0.25"),
        ge=0,
        le=1,
        description="share of that budget which is kept for audits of students in service, whatever trials and "
        "trainings would spend",
    )
