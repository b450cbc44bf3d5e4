"""Read the settings of the router, and the limits that hold for every call."""

from dataclasses import dataclass
from decimal import Decimal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RouterSettings(BaseSettings):
    """Settings of the router, from the environment or as arguments."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_ROUTER_", frozen=True)

    teacher_url: str | None = Field(
        default=None, description="base URL of an OpenAI-compatible API, such as https://api.openai.com/v1"
    )
    teacher_api_key: SecretStr | None = Field(
        default=None, description="key for the teacher; unset: the caller's Authorization header is passed on"
    )
    teacher_model: str | None = Field(
        default=None, description="teacher's model for calls that name `understudies/TASK` as theirs"
    )
    teacher_price_usd: Decimal | None = Field(
        default=None, ge=0, description="flat price of a teacher's call; unset: by model and usage"
    )
    teacher_timeout_s: float = Field(default=600.0, gt=0)
    critical_tasks: frozenset[str] = Field(default=frozenset(), description="tasks that no student may serve")
    student_timeout_s: float = Field(default=2.0, gt=0, description="after it, the teacher is asked")
    student_price_usd: Decimal = Field(default=Decimal("0.0002"), ge=0, description="of one student's answer")
    self_agreement_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the teacher's calls that it is asked again, to know its own consistency",
    )
    probation_calls: int = Field(
        default=30,
        ge=0,
        description="answers of a student new to this router that are compared with the teacher's before any is given",
    )
    audits_at_once: int = Field(
        default=8, gt=0, description="audits that a teacher is asked at the same time; more wait, and nobody for them"
    )
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535, description="unset: no HTTP; 0: any free port")
    reuse_port: bool = Field(default=False, description="share the port with other processes that do the same")
    max_body_bytes: int = Field(default=20_000_000, gt=0, description="larger requests are answered 413")
    request_timeout_s: float = Field(default=900.0, gt=0, description="longest time for a request, all in all")
    buffer_events: int = Field(default=10_000, gt=0, description="events kept in memory; beyond, on disk")
    spool_bytes: int = Field(
        default=2_000_000_000, ge=0, description="events kept on disk while the bus is away; 0: none, memory alone"
    )
    drain_s: int = Field(default=30, gt=0, description="time that calls in flight are given when it stops")
    record_apart: bool = Field(
        default=True, description="record in a process of its own, for `understudies router`; else beside the calls"
    )
    lame_duck_s: float = Field(
        default=0.0,
        ge=0,
        description="time in which it still takes calls once it is told to stop, and /readyz says 503; "
        "behind a load balancer such as Kubernetes', longer than that takes to notice",
    )
    auto_deliver: bool = Field(default=True, description="deliver events in the background; else by flush alone")


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """The router's own settings, as far as the call service needs them."""

    critical_tasks: frozenset[str] = frozenset()
    student_timeout_s: float = 2.0
    student_price_usd: Decimal = Decimal("0.0002")
    self_agreement_rate: float = 0.0
    max_concurrent_audits: int = 8
    probation_calls: int = 0
