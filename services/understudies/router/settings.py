"""Read the router's settings, and define the limits for serving calls."""

from dataclasses import dataclass
from decimal import Decimal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RouterSettings(BaseSettings):
    """Settings of the router, from environment variables or arguments."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_ROUTER_", frozen=True)

    teacher_url: str | None = Field(
        default=None, description="base URL of an OpenAI-compatible API, such as https://api.openai.com/v1"
    )
    teacher_api_key: SecretStr | None = Field(
        default=None, description="key for the teacher; unset: the caller's Authorization header is forwarded"
    )
    teacher_model: str | None = Field(
        default=None, description="teacher's model for calls whose model is `understudies/TASK`"
    )
    teacher_price_usd: Decimal | None = Field(
        default=None, ge=0, description="flat price of a teacher call; unset: priced by model and usage"
    )
    teacher_timeout_s: float = Field(
        default=600.0, gt=0, description="longest time for the teacher at `teacher_url` to answer, retries included"
    )
    critical_tasks: frozenset[str] = Field(default=frozenset(), description="tasks that no student may serve")
    student_timeout_s: float = Field(
        default=2.0, gt=0, description="time limit for the student; after it, the teacher is asked"
    )
    student_price_usd: Decimal = Field(default=Decimal("0.0002"), ge=0, description="price of one student answer")
    self_agreement_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the teacher's calls that are repeated to measure its self-agreement",
    )
    probation_calls: int = Field(
        default=30,
        ge=0,
        description="answers of a student new to this router to compare with the teacher's before any is served",
    )
    audits_at_once: int = Field(
        default=8, gt=0, description="concurrent audits; further ones queue without delaying any call"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0: all addresses")
    port: int | None = Field(
        default=None, ge=0, le=65535, description="port to listen on; unset: no HTTP; 0: any free port"
    )
    addresses: frozenset[str] = Field(
        default=frozenset(),
        description="further names, with or without a port, under which agents reach the router, such as "
        "`llm.internal:8080`: spans of calls there are not recorded, as the router records them",
    )
    max_tasks: int = Field(
        default=10_000,
        gt=0,
        description="tasks that the calls of a tenant may bring up, beside those with rules or a student; further ones "
        "are counted to `too-many-tasks`, which the teacher answers",
    )
    reuse_port: bool = Field(default=False, description="share the port with other processes that set this too")
    max_body_bytes: int = Field(
        default=20_000_000, gt=0, description="largest request body; larger ones are answered with 413"
    )
    request_timeout_s: float = Field(default=900.0, gt=0, description="longest total time for a request")
    buffer_events: int = Field(default=10_000, gt=0, description="events kept in memory; further ones go to disk")
    spool_bytes: int = Field(
        default=2_000_000_000,
        ge=0,
        description="events kept on disk while the bus is unavailable; 0: none, memory only",
    )
    drain_s: int = Field(default=30, gt=0, description="time for calls in flight to finish at shutdown")
    record_apart: bool = Field(
        default=True,
        description="record in a separate process, for `understudies router`; else in the serving process",
    )
    lame_duck_s: float = Field(
        default=0.0,
        ge=0,
        description="time at shutdown during which the router still takes calls while /readyz answers 503; "
        "set it longer than the load balancer, such as Kubernetes', takes to notice",
    )
    auto_deliver: bool = Field(default=True, description="deliver events in the background; otherwise only by `flush`")


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """The router's own settings that the call service needs."""

    critical_tasks: frozenset[str] = frozenset()
    student_timeout_s: float = 2.0
    student_price_usd: Decimal = Decimal("0.0002")
    self_agreement_rate: float = 0.0
    max_concurrent_audits: int = 8
    probation_calls: int = 0
