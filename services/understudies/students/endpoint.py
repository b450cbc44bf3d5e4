"""OpenAI-compatible endpoints, by name: artifacts keep the name, settings the address and the key."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudies.students.base import ArtifactError


class Endpoint(BaseModel):
    """Where a model answers chat completions, and at what price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="up to and with `/v1`")
    model: str
    api_key: SecretStr | None = None
    timeout_seconds: float = Field(default=30.0, gt=0)
    concurrency: int = Field(default=8, gt=0, description="calls under way at once")
    logprobs: bool = Field(default=True, description="ask for log-probabilities; confidence is better with them")


class Endpoints(BaseSettings):
    """Read from the environment: `UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL` and so on, names in lower case."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_", env_nested_delimiter="__", frozen=True)

    endpoints: dict[str, Endpoint] = Field(default_factory=dict)

    def named(self, name: str) -> Endpoint:
        """The endpoint of a name; raises ArtifactError that says how to declare it."""
        if endpoint := self.endpoints.get(name.lower()):
            return endpoint
        raise ArtifactError(f"no endpoint is named {name!r}; set UNDERSTUDIES_ENDPOINTS__{name.upper()}__BASE_URL")
