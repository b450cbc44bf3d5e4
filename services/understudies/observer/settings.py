"""Settings of the observer."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ObserverSettings(BaseSettings):
    """Settings of the observer, read from the environment with prefix `UNDERSTUDIES_OBSERVER_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_OBSERVER_", frozen=True)

    max_examples: int = Field(
        default=30_000, ge=1, description="maximum number of distinct inputs in a dataset; the newest are taken"
    )
    otlp_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port on which `understudies observer` takes spans by OTLP/HTTP, usually 4318; unset: none, and "
        "`understudies up` takes them on the router's port",
    )
    otlp_host: str = Field(default="127.0.0.1", description="address for them; beyond loopback senders need a key")
    console_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port on which `understudies observer` serves the console; unset: none, and `understudies up` "
        "serves it on the router's port",
    )
    console_host: str = Field(
        default="127.0.0.1",
        description="address for it; beyond loopback it needs UNDERSTUDIES_STATUS_KEY, a tenant's key or a proxy",
    )
