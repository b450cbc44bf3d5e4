"""Define the teachers: `understudies.toml`, table `teachers.<name>`."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from understudies.economics.prices import Price
from understudies.runtime.errors import ConfigurationError

Auth = Literal["by_api", "bearer", "x-api-key", "none"]
"""Header for a key: `by_api` is x-api-key for Anthropic's Messages, else a bearer token; `none` sends no key."""

TeacherApi = Literal["chat", "responses", "messages", "decisions", "systemone"]


class _TeacherModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TimeoutSettings(_TeacherModel):
    """Time-outs for a teacher, in seconds."""

    connect_s: float = Field(default=10.0, gt=0, description="to establish a connection")
    first_byte_s: float = Field(
        default=600.0, gt=0, description="from the end of the request to the first byte of the response"
    )
    idle_s: float = Field(default=120.0, gt=0, description="between two chunks of a response")
    total_s: float = Field(default=1800.0, gt=0, description="for a call, including all retries and fallbacks")


class RetrySettings(_TeacherModel):
    """Number of retries after a failed attempt, and the delays before them."""

    max: int = Field(default=2, ge=0, le=20, description="attempts after the first one, with the same teacher")
    base_s: float = Field(default=0.5, gt=0, description="longest delay before the first retry; doubles each time")
    longest_s: float = Field(default=8.0, gt=0, description="longest delay before any retry")
    patience_s: float = Field(
        default=20.0, ge=0, description="for a longer Retry-After, fail over to the next teacher or return the error"
    )


class BreakerSettings(_TeacherModel):
    """Thresholds of the circuit breaker of something that keeps failing."""

    window_s: float = Field(default=30.0, gt=0, description="window in which failures are counted")
    min_calls: int = Field(default=20, ge=1, description="calls in the window before the circuit may open")
    failure_share: float = Field(default=0.5, gt=0, le=1, description="share of failed calls that opens the circuit")
    open_s: float = Field(default=5.0, gt=0, description="time the circuit stays open before a trial call")


class TokenPrice(_TeacherModel):
    """Price of a model in US dollars per million tokens."""

    input: Decimal = Field(ge=0, description="price of input tokens")
    output: Decimal = Field(ge=0, description="price of output tokens")
    cached_input: Decimal | None = Field(default=None, ge=0, description="price of cached input tokens; unset: input")


class Fallback(_TeacherModel):
    """Teacher to ask instead, and its model; written as `"other"` or `{teacher = "other", model = "name"}`."""

    teacher: str = Field(min_length=1, description="name of the teacher in the table")
    model: str | None = Field(default=None, min_length=1, description="model to ask for; unset: the requested model")

    @model_validator(mode="before")
    @classmethod
    def _parse_name(cls, value: Any) -> Any:
        return {"teacher": value} if isinstance(value, str) else value


class TeacherSpec(_TeacherModel):
    """Upstream provider: its URL, models, API key, time-outs, retries and fallbacks."""

    name: str = Field(default="", description="name in the table; must not be set in the file")
    base_url: str = Field(description="URL up to and including /v1, such as https://api.openai.com/v1")
    models: tuple[str, ...] = Field(default=("*",), min_length=1, description='exact names or globs, such as "gpt-*"')
    apis: tuple[TeacherApi, ...] = Field(
        default=("chat", "responses", "messages", "decisions", "systemone"),
        min_length=1,
        description="APIs that it supports: OpenAI's Chat Completions, Responses and Decisions, Anthropic's Messages, "
        "TypeSafe's System One",
    )
    api_key_env: str | None = Field(
        default=None,
        min_length=1,
        description="environment variable with its key; unset: the caller's key is forwarded",
    )
    api_key: SecretStr | None = Field(default=None, description="the key itself; in a file, use api_key_env")
    auth: Auth = Field(
        default="by_api",
        description="how a key is sent; by_api: x-api-key for Anthropic's Messages, else a bearer token",
    )
    price_usd: Decimal | None = Field(default=None, ge=0, description="flat price per call")
    price_per_mtok: TokenPrice | None = Field(
        default=None, description="price per token; if this and price_usd are unset: the public price list"
    )
    retires: dict[str, date | Literal["never"]] = Field(
        default_factory=dict,
        description='first day (UTC) on which a model of it no longer answers, such as {"gpt-5" = 2027-06-01}; '
        '"never": not even if the built-in table says so',
    )
    successors: dict[str, str] = Field(
        default_factory=dict,
        description='model of it that succeeds one that retires, such as {"gpt-5" = "gpt-6"}: asked about part of the '
        "calls beforehand, so that students are proven against it by that day",
    )
    stream_usage: bool = Field(
        default=True,
        description="ask chat streams for their usage (stream_options); a teacher that refuses is asked without it, "
        "and usage that it does not report is estimated",
    )
    fallback: tuple[Fallback, ...] = Field(default=(), description="teachers to ask, in order, if this one fails")
    timeouts: TimeoutSettings = Field(default=TimeoutSettings(), description="time-outs; see below")
    retries: RetrySettings = Field(default=RetrySettings(), description="retries of a failed attempt; see below")
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="circuit breaker of a failing teacher; see below"
    )

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// URL")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("a teacher's URL must not have a user, query or fragment; keys belong in api_key_env")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_price(self) -> "TeacherSpec":
        if self.price_usd is not None and self.price_per_mtok is not None:
            raise ValueError("price_usd and price_per_mtok are mutually exclusive")
        return self

    @field_validator("successors")
    @classmethod
    def _check_successors(cls, successors: dict[str, str]) -> dict[str, str]:
        for model, successor in successors.items():
            if not successor or successor == model:
                raise ValueError(f"{model!r} needs another model as its successor")
        return successors

    @property
    def has_own_key(self) -> bool:
        """True if it has a key of its own; the caller's key is then never sent to it."""
        return self.api_key is not None or self.api_key_env is not None

    @property
    def exact_models(self) -> tuple[str, ...]:
        """The exact names among its models, without globs."""
        return tuple(name for name in self.models if not set(name) & set("*?["))

    @property
    def origin(self) -> tuple[str, str, int]:
        """The scheme, host and port of its URL."""
        parts = urlsplit(self.base_url)
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def price(self) -> Price | Decimal | None:
        """The configured price of its calls; None if unset."""
        listed = self.price_per_mtok
        return self.price_usd if listed is None else Price(listed.input, listed.output, listed.cached_input)


def _check_teachers(teachers: dict[str, TeacherSpec]) -> dict[str, TeacherSpec]:
    named = {name: spec.model_copy(update={"name": name}) for name, spec in teachers.items()}
    for spec in named.values():
        for fallback in spec.fallback:
            _check_fallback(spec, fallback, named)
    return named


def _check_fallback(spec: TeacherSpec, fallback: Fallback, named: Mapping[str, TeacherSpec]) -> None:
    other = named.get(fallback.teacher)
    if other is None:
        raise ValueError(f"{spec.name}.fallback: no teacher {fallback.teacher!r}; defined teachers: {sorted(named)}")
    if other is spec and fallback.model is None:
        raise ValueError(f"{spec.name}.fallback: a teacher can only fall back to itself with another model")
    passes_on = not other.has_own_key and other.auth != "none"
    if passes_on and (spec.has_own_key or spec.origin != other.origin):
        raise ValueError(
            f"{spec.name}.fallback: {other.name!r} would receive the caller's key, which is not meant for it; "
            'set its api_key_env, or auth = "none" if it needs no key'
        )


TeacherTable = Annotated[dict[str, TeacherSpec], AfterValidator(_check_teachers)]
"""Teachers by name, for a field of a pydantic model: sets their names and validates the fallbacks."""


def load_api_keys(teachers: Mapping[str, TeacherSpec], environ: Mapping[str, str]) -> dict[str, TeacherSpec]:
    """Return the teachers with their keys read from the environment; raises ConfigurationError if one is missing."""
    return {name: _load_api_key(spec, environ) for name, spec in teachers.items()}


def _load_api_key(spec: TeacherSpec, environ: Mapping[str, str]) -> TeacherSpec:
    if spec.api_key is not None or spec.api_key_env is None:
        return spec
    key = environ.get(spec.api_key_env, "").strip()
    if not key:
        raise ConfigurationError(
            f"teacher {spec.name!r} reads its key from {spec.api_key_env}, which is not set; "
            "set it, or remove api_key_env"
        )
    return spec.model_copy(update={"api_key": SecretStr(key)})
