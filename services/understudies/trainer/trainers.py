"""Define the trainers: one for each kind of student that can be made here, cheapest first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from understudies.datasets.dataset import Dataset, Example
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.judges.base import Judge
from understudies.students.base import Student
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.exact_match import ExactMatchStudent
from understudies.trainer.calibration import calibrate
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.validation import ValidationCall, held_out_examples, judge_student


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
    """A candidate of the selection."""

    kind: str
    train: TrainFunction


def train_exact_match(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Remember answers. Held-out inputs are never among them, so it is judged on the later repeats in training."""
    train = data.dataset.in_split("train")
    student = ExactMatchStudent.fit(train, data.judge)
    if not len(student):
        return NotApplicable("no request was answered alike at temperature 0")
    return TrainedStudent(student, student.to_files(), _judge_on_repeats(data, train))


def _judge_on_repeats(data: TrainingData, train: Sequence[Example]) -> tuple[ValidationCall, ...]:
    known = ExactMatchStudent.fit(train[: len(train) // 2], data.judge)
    later = [(example, known.lookup(example.request)) for example in train[len(train) // 2 :]]
    return tuple(
        ValidationCall(
            answer.confidence, answer.confidence > 0 and data.judge.judge(example.answer, answer.message).agreed
        )
        for example, answer in later
    )


def train_classifier(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Tell the answers of a closed set apart."""
    from understudies.students.classifier.sentences import is_encoder_installed
    from understudies.students.classifier.student import ClassifierStudent, NotClosedSetError

    validation = held_out_examples(data.dataset.in_split("validation"))
    encoder = is_encoder_installed() if settings.encoder == "auto" else settings.encoder
    try:
        student = ClassifierStudent.fit(
            data.dataset.in_split("train"),
            validation,
            seed=data.seed,
            encoder=encoder,
            judge=data.judge,
            system=data.system,
        )
    except NotClosedSetError as error:
        return NotApplicable(str(error))
    return TrainedStudent(
        student,
        student.to_files(),
        judge_student(student, validation, data.judge),
        {"seed": data.seed, "encoder": encoder, "classes": student.class_count, **student.extractor.summary()},
        base_model="wordllama l2_supercat_256" + (", all-MiniLM-L6-v2" if encoder else ""),
        licence="MIT" + (", Apache-2.0" if encoder else ""),
    )


def train_few_shot(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Show examples to another model."""
    from understudies.students.few_shot.student import FewShotStudent

    if settings.few_shot_endpoint is None:
        return NotApplicable("no endpoint is configured")
    endpoint = EndpointSettings().get(settings.few_shot_endpoint)
    student = FewShotStudent.fit(
        data.dataset.in_split("train"),
        data.judge,
        endpoint_name=settings.few_shot_endpoint,
        endpoint=endpoint,
        shots=settings.few_shot_examples,
        nearest=settings.few_shot_nearest,
        pool=settings.few_shot_pool,
        system=data.system,
    )
    validation = held_out_examples(data.dataset.in_split("validation"))
    asked = validation[:: max(1, -(-len(validation) // settings.few_shot_validation))]
    found = calibrate(judge_student(student, asked, data.judge))
    student = student.with_calibration(found.calibration)
    return TrainedStudent(
        student,
        student.to_files(),
        found.validation_calls,
        {"shots": settings.few_shot_examples, "nearest": settings.few_shot_nearest},
        base_model=endpoint.model,
        metrics=found.metrics,
    )


TRAINERS: tuple[StudentTrainer, ...] = (
    StudentTrainer("cache", train_exact_match),
    StudentTrainer("classifier", train_classifier),
    StudentTrainer("few_shot", train_few_shot),
)
