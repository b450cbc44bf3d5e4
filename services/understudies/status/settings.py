"""Settings of the status page."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StatusSettings(BaseSettings):
    """Settings of the status page, read from the environment with prefix `UNDERSTUDIES_STATUS_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_STATUS_", frozen=True)

    key: SecretStr | None = Field(
        default=None,
        description="key for the console and /status, as a bearer token or a browser's password; unset: open on a "
        "loopback address, closed on any other",
    )
    steering_key: SecretStr | None = Field(
        default=None,
        description="key that whoever steers, imports or backs up needs in place of that one, which then only reads; "
        "unset: the same key",
    )
