"""What every service is told about the bus, the store and telemetry."""

import re
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from understudies.runtime.errors import ConfigurationError

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Largest event that the bus carries."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class BusSettings(BaseSettings):
    """Where the Kafka broker is; without a bootstrap address an embedded one is started."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_BUS_", frozen=True)

    bootstrap: str | None = Field(default=None, description="HOST:PORT[,HOST:PORT...]; unset: an embedded broker")
    group_prefix: str | None = Field(
        default="understudies",
        description="consumer groups are PREFIX-SERVICE; empty: every process reads all partitions and commits nothing",
    )
    generation: str = Field(
        default="", description="name of the broker's life; offsets in snapshots of another life are ignored"
    )
    create_topics: bool = Field(default=True, description="create missing topics at start")
    replication_factor: int = Field(default=-1, ge=-1, description="of created topics; -1: the broker's default")
    fetch_max_wait_ms: int = Field(default=500, ge=1, description="longest wait of a fetch that finds nothing")
    publish_timeout_s: float = Field(
        default=10.0, gt=0, description="after which what a broker has not taken counts as not published"
    )
    idempotent: bool = Field(
        default=False,
        description="for the router on Apache Kafka: whatever befalls the line, no event arrives twice while it lives; "
        "what the broker has not taken is waited for without end",
    )
    max_attempts: int = Field(default=8, ge=1, description="deliveries of a batch that fails before the service stops")
    security_protocol: SecurityProtocol = Field(default="PLAINTEXT", description="of the connection to the broker")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how the SASL protocols authenticate"
    )
    sasl_user: str | None = Field(default=None, description="user name; required by the SASL protocols")
    sasl_password: SecretStr | None = Field(default=None, description="password; required by the SASL protocols")
    ca_file: Path | None = Field(default=None, description="PEM file of the broker's authority; unset: the system's")

    @field_validator("group_prefix")
    @classmethod
    def _empty_to_none(cls, prefix: str | None) -> str | None:
        return prefix or None


class StoreSettings(BaseSettings):
    """Where ClickHouse is."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_STORE_", frozen=True)

    url: SecretStr = Field(
        default=SecretStr("chdb://"),
        description="chdb:///PATH, chdb:// for a throw-away store, or clickhouse[s]://USER:PASSWORD@HOST:PORT/DATABASE",
    )


class OnlineSettings(BaseSettings):
    """Where the online state is."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_ONLINE_", frozen=True)

    url: SecretStr = Field(default=SecretStr("fake://"), description="redis://... or fake:// for this process alone")
    timeout_s: float = Field(default=0.25, gt=0, description="longest wait for Redis, before calls go on without it")


class TelemetrySettings(BaseSettings):
    """Where traces go."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_TELEMETRY_", frozen=True)

    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP base URL of a collector; unset: no traces")


S = TypeVar("S", bound=BaseSettings)

_FIELD_PATTERN: Final = re.compile(r'for field "(\w+)"')
_INVALID_JSON: Final = "Input should be JSON, such as [0.05, 0.25, 1.0]"


def settings_from(kind: type[S], **options: Any) -> S:
    """Settings from the options that are given, else the environment; raises ConfigurationError that names which."""
    try:
        return kind(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        if options.get(field) is not None:
            raise ConfigurationError(f"--{field.replace('_', '-')}: {first['msg']}") from None
        raise _setting_error(kind, field, first["msg"]) from None
    except SettingsError as error:
        found = _FIELD_PATTERN.search(str(error))
        raise _setting_error(kind, found[1] if found else "", _INVALID_JSON) from None


def _setting_error(kind: type[BaseSettings], field: str, why: str) -> ConfigurationError:
    variable = f"{kind.model_config.get('env_prefix', '')}{field.upper()}"
    return ConfigurationError(f"{variable}: {why}; correct the variable or unset it")
