"""Settings of imports."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ImportSettings(BaseSettings):
    """Settings of `understudies import`, read from the environment with prefix `UNDERSTUDIES_IMPORT_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_IMPORT_", frozen=True)

    evidence_hours: float = Field(
        default=0,
        ge=0,
        le=24 * 366,
        description="age in hours up to which imported calls may be held-out evidence; older ones, and those without a "
        "time, count for training alone; 0: all do",
    )
