"""Define the settings that services share: bus, store, online state and telemetry."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from understudies.runtime.errors import ConfigurationError

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Largest event that the bus carries."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class BusSettings(BaseSettings):
    """Settings of the Kafka broker; without a bootstrap address events stay in the memory of `understudies up`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_BUS_", frozen=True)

    bootstrap: str | None = Field(default=None, description="HOST:PORT[,HOST:PORT...]; unset: in the memory of `up`")
    group_prefix: str | None = Field(
        default="understudies",
        description="consumer groups are PREFIX-SERVICE; empty: every process reads all partitions and commits nothing",
    )
    generation: str = Field(
        default="",
        description="id of the broker's data; offsets in snapshots with another id are ignored; unset: those of topics "
        "with other ids",
    )
    create_topics: bool = Field(default=True, description="create missing topics at start")
    replication_factor: int = Field(
        default=-1, ge=-1, description="replication factor of created topics; -1: the broker's default"
    )
    fetch_max_wait_ms: int = Field(default=500, ge=1, description="longest wait of a fetch that finds no records")
    fetch_min_bytes: int = Field(
        default=1,
        ge=1,
        description="bytes that a fetch waits for, up to fetch_max_wait_ms; more makes fewer and larger batches",
    )
    publish_timeout_s: float = Field(
        default=10.0, gt=0, description="time-out after which unacknowledged messages count as not published"
    )
    idempotent: bool = Field(
        default=False,
        description="for the router on Apache Kafka: no event arrives twice while the process runs, even if "
        "connections fail; waits without limit for the broker's acknowledgement",
    )
    memory_bytes: int = Field(
        default=268_435_456,
        ge=1_000_000,
        description="without a broker: bytes of calls that wait in memory to be handled; later ones wait on disk",
    )
    max_attempts: int = Field(default=8, ge=1, description="failed deliveries of a batch before the service stops")
    security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="security protocol of the connection to the broker"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="authentication mechanism of the SASL protocols"
    )
    sasl_user: str | None = Field(default=None, description="user name; required by the SASL protocols")
    sasl_password: SecretStr | None = Field(default=None, description="password; required by the SASL protocols")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the broker's certificate authority; unset: the system's authorities"
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file of this client's certificate, for brokers that ask for one (mutual TLS)"
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its private key; unset: in the file of the certificate"
    )
    key_password: SecretStr | None = Field(default=None, description="password of the private key, if it has one")

    @property
    def snapshot_generation(self) -> str:
        """What snapshots say of the broker: the id of its data, or if that is not set, the address."""
        return self.generation or self.bootstrap or ""

    @field_validator("group_prefix")
    @classmethod
    def _empty_to_none(cls, prefix: str | None) -> str | None:
        return prefix or None


_Expiring = Literal["invocations", "verdicts", "gate_decisions", "drift"]
"""The tables whose rows may go; what is in force is read from that of promotions."""


class StoreSettings(BaseSettings):
    """Settings of the store, ClickHouse."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_STORE_", frozen=True)

    url: SecretStr = Field(
        default=SecretStr("chdb://"),
        description="chdb:///PATH, chdb:// for a temporary store, or clickhouse[s]://USER:PASSWORD@HOST:PORT/DATABASE",
    )
    timeout_s: float = Field(
        default=60.0, ge=1, description="a ClickHouse server that is silent for so long counts as unavailable"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authority of a server at clickhouses://; unset: the known ones"
    )
    cluster: str | None = Field(
        default=None,
        min_length=1,
        description="name of the ClickHouse cluster on whose servers tables are made and replicated; unset: one server",
    )
    # Up to ten years: ClickHouse counts seconds in 32 bits there, and a time that overflows has passed.
    keep_days: dict[_Expiring, Annotated[int, Field(ge=1, le=3650)]] = Field(
        default_factory=dict,
        description='days for which a table keeps its rows, such as {"invocations": 400}; tables not named: for ever',
    )


class OnlineSettings(BaseSettings):
    """Settings of the online state, Redis."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_ONLINE_", frozen=True)

    url: SecretStr = Field(default=SecretStr("fake://"), description="redis://..., or fake:// for a single process")
    timeout_s: float = Field(default=0.25, gt=0, description="longest wait for Redis before calls proceed without it")


class TelemetrySettings(BaseSettings):
    """Settings of the export of traces."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_TELEMETRY_", frozen=True)

    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP base URL of a collector; unset: no traces")


class AdminSettings(BaseSettings):
    """Settings of the port on which a single service tells how it stands."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_ADMIN_", frozen=True)

    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port of /livez, /readyz, /metrics and /status of a single service other than the router, which "
        "has them on its own; unset: none; 0: any free one",
    )
    host: str = Field(default="127.0.0.1", description="address for them; 0.0.0.0: all addresses")


S = TypeVar("S", bound=BaseSettings)

_FIELD_PATTERN: Final = re.compile(r'for field "(\w+)"')
_INVALID_JSON: Final = "Input should be JSON, such as [0.05, 0.25, 1.0]"


def settings_from(kind: type[S], **options: Any) -> S:
    """Read settings from the given options, else the environment; raises ConfigurationError naming the wrong one."""
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
