"""Define the settings of the trainer."""

from decimal import Decimal
from functools import partial
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudies.runtime.settings import settings_from
from understudies.students.artifact import Consent
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.prompts.settings import PromptSettings


class TrainerSettings(BaseSettings):
    """Settings of the trainer from the environment, prefix `UNDERSTUDIES_TRAINER_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_TRAINER_", frozen=True)

    kinds: tuple[str, ...] = Field(
        default=("decision", "classifier", "extractor", "few_shot", "prompt_optimised", "api_fine_tune"),
        description="kinds of student that may be trained; tried cheapest first",
    )
    min_agreement: float = Field(default=0.95, gt=0.5, lt=1, description="p0 if the task's rules set none")
    enough_coverage: float = Field(
        default=0.50, ge=0, le=1, description="expected share of calls served at which no costlier kind is tried"
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="error probability of the bound that rejects a student")
    surest_calls: int = Field(default=20, gt=0, description="fewest validation calls that can reject a student")
    encoder: bool | Literal["auto"] = Field(
        default="auto", description="sentence encoder of classifiers; auto: where what more is served pays for it"
    )
    encoder_usd_per_1000_answers: Decimal = Field(
        default=Decimal("0.0001"), ge=0, description="price of encoding 1,000 texts: 4 s of one core"
    )
    decision_endpoint: str | None = Field(
        default=None, description="name of the endpoint of a decision API; unset: no decision"
    )
    decision_validation: int = Field(default=200, gt=0, description="most calls to pay for, to calibrate a decision")
    few_shot_endpoint: str | None = Field(default=None, description="name of the endpoint; unset: no few_shot")
    few_shot_examples: int = Field(
        default=16, ge=0, le=200, description="examples in each prompt; 0 for a model that was trained on the task"
    )
    few_shot_nearest: bool = Field(default=False, description="show the examples most similar to the request")
    few_shot_pool: int = Field(default=1000, gt=0, description="examples stored with the student")
    few_shot_validation: int = Field(default=200, gt=0, description="most validation calls to pay for")
    dream_endpoint: str | None = Field(
        default=None, description="name of the teacher's endpoint that writes examples, where rules give it a budget"
    )
    dream_batch: int = Field(default=8, gt=0, le=50, description="inputs to write in one call")
    dream_share: float = Field(default=0.25, gt=0, le=0.5, description="largest share of written training examples")
    seed: int = Field(default=0, description="seed of every random choice in training")
    usd_per_1000_examples: dict[str, Decimal] = Field(
        default={
            "cache": Decimal(0),
            "decision": Decimal(0),
            "classifier": Decimal("0.001"),
            "extractor": Decimal("0.001"),
            "lora": Decimal("0.02"),
            "few_shot": Decimal("0.05"),
            "prompt_optimised": Decimal(0),
            "api_fine_tune": Decimal(0),
        },
        description="price of training by kind, beside what endpoints charged for it; declared, not measured, so that "
        "a replay costs the same",
    )
    lora: LoraTrainingSettings = Field(
        default_factory=partial(settings_from, LoraTrainingSettings),
        description="LoRA training; read from `UNDERSTUDIES_LORA_`",
    )
    fine_tuning: FineTuningSettings = Field(
        default_factory=partial(settings_from, FineTuningSettings),
        description="fine-tuning by API; read from `UNDERSTUDIES_FINE_TUNING_`",
    )
    prompts: PromptSettings = Field(
        default_factory=partial(settings_from, PromptSettings),
        description="prompt optimisation; read from `UNDERSTUDIES_PROMPTS_`",
    )
    consent: Consent = Field(default=Consent(), description="declared consent of the teacher's terms and the data")
