"""Settings of the observer."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ObserverSettings(BaseSettings):
    """Settings of the observer, read from the environment with prefix `UNDERSTUDIES_OBSERVER_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_OBSERVER_", frozen=True)

    max_examples: int = Field(
        default=100_000, ge=1, description="maximum number of distinct inputs in a dataset; the newest are taken"
    )
