"""Settings of the status page."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StatusSettings(BaseSettings):
    """Settings of the status page, read from the environment with prefix `UNDERSTUDIES_STATUS_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_STATUS_", frozen=True)

    key: SecretStr | None = Field(
        default=None,
        description="key that /status asks for as a bearer token; unset: /status is open on a loopback address, and "
        "closed on any other",
    )
