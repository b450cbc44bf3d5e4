"""Define the settings of LoRA training."""

from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_LEARNING_RATES: Final = ((500e6, 2e-3), (3e9, 5e-4))
_LARGE_MODEL_RATE: Final = 2e-4


class LoraTrainingSettings(BaseSettings):
    """Settings of LoRA training from the environment, prefix `UNDERSTUDIES_LORA_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_LORA_", frozen=True)

    base: str | None = Field(
        default=None, description="base model: a folder, a GGUF file, or a hub id; unset: no LoRA students"
    )
    rank: int = Field(default=16, gt=0, le=512, description="rank of the update of each linear module")
    alpha_ratio: float = Field(default=2.0, gt=0, description="factor of the updates: alpha divided by the rank")
    learning_rate: float | None = Field(
        default=None, gt=0, description="peak of the one-cycle rate; unset: 0.002, less for bases above 500M weights"
    )
    epochs: float = Field(default=5.0, gt=0, le=50, description="most passes over the training examples")
    max_steps: int | None = Field(default=None, gt=0, description="most optimiser steps")
    batch_tokens: int = Field(
        default=512,
        ge=64,
        description="tokens of a step, but for the beginning that all prompts share; out of memory, in several parts",
    )
    row_tokens: int = Field(
        default=256, ge=32, description="length of a row of packed examples, without that beginning; at least one"
    )
    max_tokens: int = Field(
        default=1024, ge=32, description="longest example, with its answer; longer ones are left out"
    )
    min_examples: int = Field(default=50, ge=1, description="fewest training examples")
    evaluate_every: int | None = Field(
        default=None,
        gt=0,
        description="steps between evaluations of the judged agreement; unset: a tenth of all, but at least 40",
    )
    validation_examples: int = Field(default=64, gt=0, description="validation examples of each such evaluation")
    patience: int = Field(
        default=3,
        gt=0,
        description="evaluations in a row that are worse by more than a standard error before training stops",
    )
    checkpoint_every: int = Field(default=20, gt=0, description="steps between checkpoints")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: CUDA where there is a device")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the base while training; auto: bfloat16 where the processor computes it"
    )
    quantization: Literal["auto", "none", "nf4"] = Field(
        default="auto",
        description="of the base while training; nf4: QLoRA, by bitsandbytes on CUDA; auto: nf4 where both are there, "
        "for bases above three billion weights",
    )
    processes: int | None = Field(
        default=None, gt=0, le=64, description="that train together; unset: one for each GPU of the machine"
    )
    threads: int | None = Field(default=None, gt=0, description="threads of PyTorch; unset: its own choice")
    max_seconds: float = Field(default=6 * 3600.0, gt=0, description="longest training; then the best so far counts")
    usd_per_hour: Decimal = Field(
        default=Decimal("0.10"), ge=0, description="price of the machine, for the cost so far"
    )
    usd_per_1000_answers: Decimal = Field(
        default=Decimal("0.01"), ge=0, description="price of 1,000 answers of a student: 400 s of one core"
    )
    serving_usd_per_hour: Decimal | None = Field(
        default=None,
        ge=0,
        description="price of the machine that serves; prices answers by the throughput measured in validation",
    )
    work: Path | None = Field(
        default=None,
        description="folder of checkpoints, from which a repeated training resumes; unset: a temporary one",
    )

    def peak_rate(self, weights: int) -> float:
        """Return the peak learning rate for a base of that many weights."""
        if self.learning_rate is not None:
            return self.learning_rate
        return next((rate for most, rate in _LEARNING_RATES if weights < most), _LARGE_MODEL_RATE)
