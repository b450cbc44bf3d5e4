"""Define what is known of a job and of an uploaded file, whatever the provider."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

JobState = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """Fine-tuning job: its state, the provider's own word for it, and once known model, cost and tokens."""

    id: str
    state: JobState
    status: str
    model: str | None = None
    cost_usd: Decimal | None = None
    trained_tokens: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobOrder:
    """Everything that a job is made of; `suffix` names what comes of it."""

    base: str
    training_file: str
    validation_file: str | None
    epochs: int
    seed: int
    suffix: str
