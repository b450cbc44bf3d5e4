"""Define the files of a training job, and the lines that its process reports."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from understudies.students.lora.prompt import Turn
from understudies.trainer.lora.settings import LoraTrainingSettings

JOB_FILE: Final = "job.json"
TRAIN_FILE: Final = "train.jsonl"
VALIDATION_FILE: Final = "validation.jsonl"
BEST_FOLDER: Final = "best"
CHECKPOINT_FOLDER: Final = "checkpoint"


class TextExample(BaseModel):
    """Chat turns and the teacher's answer as text."""

    model_config = ConfigDict(frozen=True)

    turns: list[Turn]
    answer: str


class TrainingJob(BaseModel):
    """What to train: the base's weights, the judge of the task, the settings and the seed."""

    model_config = ConfigDict(frozen=True)

    weights: Path
    base_name: str
    judge: str
    materials: tuple[str, ...] = ()
    """What the judge needs beside its name, such as the tests of code."""
    seed: int
    settings: LoraTrainingSettings


class Progress(BaseModel):
    """Progress after a step; `agreement` is the latest judged agreement on the validation sample.

    `judging_usd` is what the judge has cost in this process.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["progress"] = "progress"
    step: int
    steps: int
    loss: float
    agreement: float | None
    tokens_per_s: float
    eta_s: float
    cost_usd: Decimal
    judging_usd: Decimal = Decimal(0)

    def __str__(self) -> str:
        agreement = "–" if self.agreement is None else f"{self.agreement:.1%}"
        return (
            f"step {self.step} of {self.steps}: loss {self.loss:.4f}, agreement {agreement}, "
            f"{self.tokens_per_s:.0f} tokens/s, {self.eta_s:.0f} s left, ${self.cost_usd} so far"
        )


class Finished(BaseModel):
    """End of a training: how far it came, why it ended, and the answers of its best adapter to the sample."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["finished"] = "finished"
    step: int
    steps: int
    best_step: int
    agreement: float
    loss: float
    tokens: int
    seconds: float
    left_out: int
    answer_tokens: int
    """Length of the longest training answer."""
    learning_rate: float
    ended_by: Literal["steps", "patience", "time"]
    judging_usd: Decimal = Decimal(0)
    answers: list[str]
    """One for each validation example of the job."""


class Failed(BaseModel):
    """Training that cannot go on, and why."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["failed"] = "failed"
    reason: str


Report = Annotated[Progress | Finished | Failed, Field(discriminator="kind")]
REPORT: Final[TypeAdapter[Progress | Finished | Failed]] = TypeAdapter(Report)


def write_examples(path: Path, examples: list[TextExample]) -> None:
    """Write examples as JSON lines."""
    path.write_bytes(b"".join(example.model_dump_json().encode() + b"\n" for example in examples))


def read_examples(path: Path) -> list[TextExample]:
    """Read the examples of a job."""
    return [TextExample.model_validate_json(line) for line in path.read_bytes().splitlines()]
