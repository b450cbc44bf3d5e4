"""Define the settings of prompt optimisation."""

from decimal import Decimal
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PromptSettings(BaseSettings):
    """Settings of prompt optimisation from the environment, prefix `UNDERSTUDIES_PROMPTS_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_PROMPTS_", frozen=True)

    endpoint: str | None = Field(
        default=None, description="name of the endpoint whose model gets the prompt; unset: no prompt_optimised"
    )
    reflection_endpoint: str | None = Field(
        default=None,
        description="name of the endpoint of a strong model that rewrites instructions after disagreements; unset: "
        "instructions by rule alone",
    )
    max_usd: Decimal = Field(
        default=Decimal(5), gt=0, description="most that an optimisation may cost, with reflection and validation"
    )
    max_calls: int = Field(default=1000, ge=50, description="most calls of the model, without those of validation")
    compared: int = Field(
        default=64, ge=10, description="training examples on which candidates are compared; never shown as examples"
    )
    batch: int = Field(default=8, ge=2, description="training examples on which a change is tried first")
    shots: tuple[int, ...] = Field(default=(0, 4, 8, 16), min_length=1, description="numbers of examples to try")
    pool: int = Field(default=1000, gt=0, description="examples stored with the student")
    min_examples: int = Field(default=30, ge=20, description="fewest training examples")
    validation: int = Field(default=200, gt=0, description="most validation calls to pay for")
    folder: Path | None = Field(
        default=None,
        description="folder in which the prompt of each task is written, TASK/prompt.md, with its history; the next "
        "training begins with what a person changed there",
    )
