"""OpenAI-compatible endpoints, by name: artifacts keep the name, settings the address and the key."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudies.datasets.errors import ArtifactError
from understudies.events import Usage

_MILLION = Decimal(1_000_000)


class Endpoint(BaseModel):
    """Where a model answers chat completions, how, and at what price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="up to and with `/v1`")
    model: str = Field(description="model to ask for")
    api_key: SecretStr | None = Field(default=None, description="key sent as a bearer token; unset: none")
    timeout_seconds: float = Field(default=30.0, gt=0, description="from asking to the answer's end")
    concurrency: int = Field(default=32, gt=0, description="calls under way at once; more wait")
    max_bytes: int = Field(
        default=8_000_000, gt=0, description="longest answer that is read, log-probabilities included"
    )
    logprobs: bool = Field(default=True, description="ask for log-probabilities; confidence is better with them")
    streamed: Literal["text", "always", "never"] = Field(
        default="text",
        description="which answers are asked for as a stream, to give up early; `text`: those to calls without tools, "
        "since vLLM and SGLang keep back the log-probabilities of tokens that their parsers of tool calls swallow",
    )
    usd_per_million_prompt_tokens: Decimal | None = Field(
        default=None, ge=0, description="unset, as all prices: answers have the flat price of the settings"
    )
    usd_per_million_cached_tokens: Decimal | None = Field(
        default=None, ge=0, description="unset: as other prompt tokens"
    )
    usd_per_million_completion_tokens: Decimal | None = Field(
        default=None, ge=0, description="unset beside a price of prompt tokens: 0"
    )

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for the tokens used; None where no price is set. A price that is left out beside others is 0."""
        prompt, completion = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        if prompt is None and completion is None:
            return None
        prompt = prompt or Decimal(0)
        cached_price = prompt if self.usd_per_million_cached_tokens is None else self.usd_per_million_cached_tokens
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        dear = (usage.prompt_tokens - cached) * prompt + usage.completion_tokens * (completion or Decimal(0))
        return (dear + cached * cached_price) / _MILLION


class EndpointSettings(BaseSettings):
    """Read from the environment: `UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL` and so on, names in lower case."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_", env_nested_delimiter="__", frozen=True)

    endpoints: dict[str, Endpoint] = Field(default_factory=dict, description="endpoints by name, in lower case")

    def get(self, name: str) -> Endpoint:
        """The endpoint of a name; raises ArtifactError that says how to declare it."""
        if endpoint := self.endpoints.get(name.lower()):
            return endpoint
        raise ArtifactError(f"no endpoint is named {name!r}; set UNDERSTUDIES_ENDPOINTS__{name.upper()}__BASE_URL")
