"""Define the trainers: one for each kind of student that can be trained here, cheapest first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import JsonValue

from understudies.datasets.dataset import Dataset, Example
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.judges.base import Judge
from understudies.judges.cost_sum import CostSum
from understudies.students.base import Student
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.exact_match import ExactMatchStudent
from understudies.trainer.calibration import calibrate
from understudies.trainer.journal import Journal, MemoryJournal
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.validation import ValidationCall, held_out_examples, judge_student

if TYPE_CHECKING:
    from understudies.students.confidence_model import OutOfSample


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """Student with its files and its validation calls."""

    student: Student
    files: Mapping[str, bytes]
    validation_calls: tuple[ValidationCall, ...]
    hyper_parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    base_model: str | None = None
    licence: str = ""
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)
    """Metrics other than the validation, such as the calibration error."""
    training_calls: tuple[ValidationCall, ...] = ()
    """Training examples, each answered by a fit without it: many, by which to compare variants of a kind."""
    answer_cost_usd: Decimal = Decimal(0)
    """Declared cost of an answer in US dollars, where none is charged per token."""
    charged_usd: Decimal = Decimal(0)
    """What others charged for the training in US dollars, beside the declared price of the kind."""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Kind of student that does not suit the task, the reason, and what finding it out was charged in US dollars."""

    reason: str
    charged_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Input of a trainer: the dataset, the judge of the task, the random seed, the template of system prompts."""

    dataset: Dataset
    judge: Judge
    seed: int
    system: SystemTemplate = NO_CONTEXT
    teacher_cost_usd: Decimal | None = None
    """The mean price of a teacher's answer in US dollars; None if unknown."""
    student: str = ""
    """The name of the student, for which alone is trained."""
    at: datetime | None = None
    """When the training begins; None: now."""
    journal: Journal = field(default_factory=MemoryJournal)
    """What the training must not do twice."""
    counted: set[str] = field(default_factory=set)
    """What is counted as cost already: a training may be repeated with other examples, and find it in the journal."""
    judging: CostSum = field(default_factory=CostSum)
    """What the judge has cost so far, in other processes too."""
    unreported: CostSum = field(default_factory=CostSum)
    """What others charged for work that came to no outcome, as an error ended it."""
    report: Callable[[str], None] = lambda progress: None
    """Takes the progress of a long training, for the status; called from the thread that trains."""


TrainFunction = Callable[[TrainingData, TrainerSettings], TrainedStudent | NotApplicable]
"""Trains in a worker thread; any exception except SERVICE_ERRORS makes the kind not applicable."""


@dataclass(frozen=True, slots=True)
class StudentTrainer:
    """Trainer of one kind of student, or of one `variant` of a kind."""

    kind: str
    train: TrainFunction
    variant: str = ""
    is_free: bool = False
    """Whether training and answers cost next to nothing: then it is tried beside one that is charged per answer."""


def train_exact_match(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Store answers; held-out inputs are never among them, so the student is validated on later repeats in training."""
    train = data.dataset.in_split("train")
    student = ExactMatchStudent.fit(train, data.judge)
    if not len(student):
        return NotApplicable("no request was answered consistently at temperature 0")
    return TrainedStudent(student, student.to_files(), _judge_on_repeats(data, train))


def _judge_on_repeats(data: TrainingData, train: Sequence[Example]) -> tuple[ValidationCall, ...]:
    earlier = ExactMatchStudent.fit(train[: len(train) // 2], data.judge)
    later = [(example, earlier.lookup(example.request)) for example in train[len(train) // 2 :]]
    return tuple(
        ValidationCall(
            answer.confidence, answer.confidence > 0 and data.judge.judge(example.answer, answer.message).agreed
        )
        for example, answer in later
    )


def train_decision(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Configure a decision API with the task's answers, and calibrate what it states.

    It learns nothing from training examples but the choices, so they are held out as those of validation are, but for
    the choices that would not be there without them.
    """
    from understudies.judges.answer_key import canonical_answer
    from understudies.students.classifier.student import NotClosedSetError
    from understudies.students.decision.choices import classes_of_two
    from understudies.students.decision.student import DecisionStudent, not_a_decision_api

    assert settings.decision_endpoint is not None
    endpoint = EndpointSettings().get(settings.decision_endpoint)
    if endpoint.api == "chat":
        return NotApplicable(not_a_decision_api(settings.decision_endpoint))
    train = data.dataset.in_split("train")
    try:
        student = DecisionStudent.fit(train, data.judge, endpoint_name=settings.decision_endpoint, endpoint=endpoint)
    except NotClosedSetError as error:
        return NotApplicable(str(error))
    fragile = classes_of_two(train, data.judge)
    held_out = evenly_spread(
        held_out_examples([*train, *data.dataset.in_split("validation")]), settings.decision_validation
    )
    judged = [
        replace(call, agreed=False)
        if example.split == "train" and canonical_answer(example.answer, data.judge) in fragile
        else call
        for example, call in zip(held_out, judge_student(student, held_out, data.judge, data.unreported), strict=True)
    ]
    result = calibrate(judged)
    student = student.with_calibration(result.calibration)
    return TrainedStudent(
        student,
        student.to_files(),
        result.validation_calls,
        {"choices": student.choice_count, "api": endpoint.api},
        base_model=endpoint.model,
        metrics=result.metrics,
        charged_usd=charged(judged),
    )


def evenly_spread(examples: Sequence[Example], most: int) -> Sequence[Example]:
    """Return at most so many examples, evenly spread."""
    return examples[:: max(1, -(-len(examples) // most))]


def charged(calls: Sequence[ValidationCall]) -> Decimal:
    """Return what the answers to validation calls were charged in US dollars, as far as prices are known."""
    return sum((one.cost_usd for one in calls if one.cost_usd is not None), Decimal(0))


def train_classifier(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train a classifier of a closed set of answers, on n-grams and word vectors."""
    return _train_classifier(data, settings, encoder=False)


def train_encoder_classifier(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train a classifier that also uses the vectors of a sentence encoder."""
    return _train_classifier(data, settings, encoder=True)


def _train_classifier(
    data: TrainingData, settings: TrainerSettings, *, encoder: bool
) -> TrainedStudent | NotApplicable:
    from understudies.students.classifier.student import ClassifierStudent, NotClosedSetError
    from understudies.students.encoder.runtime import ENCODER_LICENCE, ENCODER_NAME

    validation = held_out_examples(data.dataset.in_split("validation"))
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
        base_model="wordllama l2_supercat_256" + (f", {ENCODER_NAME}" if encoder else ""),
        licence="MIT" + (f", {ENCODER_LICENCE}" if encoder else ""),
        training_calls=_training_calls(student.out_of_sample),
        answer_cost_usd=_answer_cost(settings, encoder=encoder),
    )


def _training_calls(out_of_sample: "OutOfSample | None") -> tuple[ValidationCall, ...]:
    if out_of_sample is None:
        return ()
    return tuple(map(ValidationCall, out_of_sample.confidences.tolist(), out_of_sample.agreed.tolist()))


def _answer_cost(settings: TrainerSettings, *, encoder: bool) -> Decimal:
    return settings.encoder_usd_per_1000_answers / 1000 if encoder else Decimal(0)


def train_extractor(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train an extractor of JSON whose values stand in the request."""
    return _train_extractor(data, settings, encoder=False)


def train_encoder_extractor(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train an extractor that also uses the vectors of words in their context."""
    return _train_extractor(data, settings, encoder=True)


def _train_extractor(data: TrainingData, settings: TrainerSettings, *, encoder: bool) -> TrainedStudent | NotApplicable:
    from understudies.students.encoder.runtime import ENCODER_LICENCE, ENCODER_NAME
    from understudies.students.extractor.obstacles import NotExtractable
    from understudies.students.extractor.student import ExtractorStudent

    train = data.dataset.in_split("train")
    try:
        student = ExtractorStudent.fit(train, data.judge, seed=data.seed, system=data.system, encoder=encoder)
    except NotExtractable as error:
        return NotApplicable(str(error))
    validation = held_out_examples(data.dataset.in_split("validation"))
    return TrainedStudent(
        student,
        student.to_files(),
        judge_student(student, validation, data.judge),
        {"seed": data.seed, "encoder": encoder, "fields": dict(student.plan.description)},
        base_model=ENCODER_NAME if encoder else None,
        licence=ENCODER_LICENCE if encoder else "",
        training_calls=_training_calls(student.out_of_sample),
        answer_cost_usd=_answer_cost(settings, encoder=encoder),
    )


def train_lora(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train an adapter of an open base model."""
    # Imported here, as it imports the types of this module.
    from understudies.trainer.lora import trainer

    return trainer.train_lora(data, settings)


def train_few_shot(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Configure another model with examples, and calibrate it."""
    from understudies.students.few_shot.student import FewShotStudent

    if settings.few_shot_endpoint is None:
        return NotApplicable("no endpoint is configured")
    endpoint = EndpointSettings().get(settings.few_shot_endpoint)
    if endpoint.api != "chat":
        return NotApplicable(f"the endpoint {settings.few_shot_endpoint!r} answers decisions, not chat completions")
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
    asked = evenly_spread(validation, settings.few_shot_validation)
    judged = judge_student(student, asked, data.judge, data.unreported)
    result = calibrate(judged)
    student = student.with_calibration(result.calibration)
    return TrainedStudent(
        student,
        student.to_files(),
        result.validation_calls,
        {"shots": settings.few_shot_examples, "nearest": settings.few_shot_nearest},
        base_model=endpoint.model,
        metrics=result.metrics,
        charged_usd=charged(judged),
    )


def train_prompt(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Optimise the task's prompt for another model."""
    # Imported here, as it imports the types of this module.
    from understudies.trainer.prompts import trainer

    return trainer.train_prompt(data, settings)


def train_api_fine_tune(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Have a provider train a model by its fine-tuning API."""
    # Imported here, as it imports the types of this module.
    from understudies.trainer.fine_tuning import trainer

    return trainer.train_api_fine_tune(data, settings)


def allowed_trainers(trainers: Sequence[StudentTrainer], settings: TrainerSettings) -> list[StudentTrainer]:
    """Return the trainers that the settings allow: their kinds, with and without the sentence encoder."""
    unwanted = {"auto": None, True: "without encoder", False: "with encoder"}[settings.encoder]
    # Few have such an endpoint, and no reason of any task needs to say so.
    endpoints = {
        "decision": settings.decision_endpoint,
        "prompt_optimised": settings.prompts.endpoint,
        "api_fine_tune": settings.fine_tuning.endpoint,
    }
    kinds = set(settings.kinds) - {kind for kind, endpoint in endpoints.items() if endpoint is None}
    return [trainer for trainer in trainers if trainer.kind in kinds and trainer.variant != unwanted]


TRAINERS: tuple[StudentTrainer, ...] = (
    StudentTrainer("cache", train_exact_match, is_free=True),
    # Needs no training, and so few examples; those below cost less per answer, and are tried all the same.
    StudentTrainer("decision", train_decision),
    StudentTrainer("classifier", train_classifier, "without encoder", is_free=True),
    StudentTrainer("classifier", train_encoder_classifier, "with encoder", is_free=True),
    StudentTrainer("extractor", train_extractor, "without encoder", is_free=True),
    StudentTrainer("extractor", train_encoder_extractor, "with encoder", is_free=True),
    StudentTrainer("lora", train_lora),
    StudentTrainer("few_shot", train_few_shot),
    StudentTrainer("prompt_optimised", train_prompt),
    StudentTrainer("api_fine_tune", train_api_fine_tune),
)
