"""Define the settings of fine-tuning by API."""

from decimal import Decimal
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FineTuningSettings(BaseSettings):
    """Settings of fine-tuning by API from the environment, prefix `UNDERSTUDIES_FINE_TUNING_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_FINE_TUNING_", frozen=True)

    endpoint: str | None = Field(
        default=None,
        description="name of the endpoint that serves what was trained, with its key; unset: no api_fine_tune",
    )
    provider: Literal["openai", "together", "fireworks"] = Field(
        default="openai",
        description="API of the provider; openai: OpenAI's, as Amazon Bedrock and other servers offer it too",
    )
    base_url: str | None = Field(
        default=None,
        description="URL of the fine-tuning API, such as https://api.fireworks.ai/v1/accounts/ACCOUNT; unset: that of "
        "the endpoint",
    )
    base: str | None = Field(default=None, description="name of the base model, as the provider has it")
    epochs: int = Field(default=3, ge=1, le=50, description="passes over the training examples")
    min_examples: int = Field(default=50, ge=10, description="fewest training examples")
    max_examples: int = Field(default=5000, ge=10, description="most training examples to upload; the newest are taken")
    max_usd: Decimal = Field(
        default=Decimal(10), gt=0, description="most that a training may cost: none is begun that is estimated above it"
    )
    usd_per_million_training_tokens: Decimal | None = Field(
        default=None,
        ge=0,
        description="price of training tokens, each pass counted; needed where the provider tells no price",
    )
    max_hours: float = Field(default=24.0, gt=0, description="longest wait for a job, which is cancelled then")
    poll_s: float = Field(default=30.0, gt=0, description="seconds between two looks at a job")
    timeout_s: float = Field(default=60.0, gt=0, description="time-out of a request, an upload's ten times that")
    deployment: str | None = Field(
        default=None, description="Fireworks: the deployment of the base model onto which the adapter is loaded"
    )
    deploy_minutes: float = Field(
        default=30.0, gt=0, description="longest wait for the trained model to answer at the endpoint"
    )
    validation: int = Field(default=200, gt=0, description="most validation calls to pay for")
