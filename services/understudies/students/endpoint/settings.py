"""Define OpenAI-compatible endpoints by name: artifacts contain the name, settings the address and the key."""

from decimal import Decimal
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudies.datasets.errors import ArtifactError
from understudies.events import Usage

_MILLION = Decimal(1_000_000)
_PATHS: Final = {"chat": "chat/completions", "decisions": "decisions", "systemone": "systemone"}


class Endpoint(BaseModel):
    """Endpoint of a model for chat completions, or for decisions: address, key, limits and prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="URL up to and including `/v1`")
    model: str = Field(description="name of the model")
    api: Literal["chat", "decisions", "systemone"] = Field(
        default="chat",
        description="what it is asked in: chat completions; or, for `decision` students, OpenAI's Decisions or "
        "TypeSafe's System One",
    )
    api_key: SecretStr | None = Field(default=None, description="key sent as a bearer token; unset: none")
    timeout_seconds: float = Field(default=30.0, gt=0, description="from the request to the end of the answer")
    concurrency: int = Field(default=32, gt=0, description="most concurrent calls; further ones wait")
    max_bytes: int = Field(default=8_000_000, gt=0, description="longest answer to accept, including log-probabilities")
    logprobs: bool = Field(default=True, description="request log-probabilities, which improve the confidence")
    streamed: Literal["text", "always", "never"] = Field(
        default="text",
        description="which answers to request as a stream, to abort early; `text`: those to calls without tools, "
        "since vLLM and SGLang omit the log-probabilities of tokens that their tool-call parsers consume",
    )
    usd_per_million_prompt_tokens: Decimal | None = Field(
        default=None, ge=0, description="price of prompt tokens; without any price: the flat price of the settings"
    )
    usd_per_million_cached_tokens: Decimal | None = Field(
        default=None, ge=0, description="price of cached prompt tokens; unset: as other prompt tokens"
    )
    usd_per_million_completion_tokens: Decimal | None = Field(
        default=None, ge=0, description="price of completion tokens; unset with a price of prompt tokens: 0"
    )

    @property
    def url(self) -> str:
        """The URL to which calls are posted."""
        return f"{self.base_url.rstrip('/')}/{_PATHS[self.api]}"

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost of the tokens used in US dollars; None if no price is set. A single unset price is 0."""
        prompt, completion = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        if prompt is None and completion is None:
            return None
        prompt = prompt or Decimal(0)
        cached_price = prompt if self.usd_per_million_cached_tokens is None else self.usd_per_million_cached_tokens
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        uncached_cost = (usage.prompt_tokens - cached) * prompt + usage.completion_tokens * (completion or Decimal(0))
        return (uncached_cost + cached * cached_price) / _MILLION


class EndpointSettings(BaseSettings):
    """Endpoints from the environment: `UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL` and so on, names in lower case."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_", env_nested_delimiter="__", frozen=True)

    endpoints: dict[str, Endpoint] = Field(default_factory=dict, description="endpoints by name, in lower case")

    def get(self, name: str) -> Endpoint:
        """Return the endpoint with a name; raises ArtifactError, which says how to declare it, if there is none."""
        if endpoint := self.endpoints.get(name.lower()):
            return endpoint
        raise ArtifactError(f"no endpoint named {name!r}; set UNDERSTUDIES_ENDPOINTS__{name.upper()}__BASE_URL")
