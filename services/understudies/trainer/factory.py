"""What makes a student of one kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from understudies.judges import Judge
from understudies.students import NO_CONTEXT, Dataset, Student, SystemTemplate
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.validation import ValidationCall


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """A student, the files that it is kept in, and how it did on validation."""

    student: Student
    files: Mapping[str, bytes]
    validation_calls: tuple[ValidationCall, ...]
    hyper_parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    base_model: str | None = None
    licence: str = ""
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)
    """What is known beside the validation, such as how well its confidence is calibrated."""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A kind of student that does not suit the task, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a factory is given: the calls, the judge of the task, the seed of all randomness, and what is context."""

    dataset: Dataset
    judge: Judge
    seed: int
    system: SystemTemplate = NO_CONTEXT


TrainFunction = Callable[[TrainingData, TrainerSettings], TrainedStudent | NotApplicable]
"""Trains in a worker thread; whatever it raises declines, but for what is of the service."""


@dataclass(frozen=True, slots=True)
class StudentTrainer:
    """A rung of the ladder."""

    kind: str
    train: TrainFunction
