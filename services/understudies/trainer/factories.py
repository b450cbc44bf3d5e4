"""The ladder: every kind of student that can be made here, cheapest first."""

from collections.abc import Sequence

from understudies.students import EndpointSettings, Example
from understudies.students.cache import ExactMatchStudent
from understudies.trainer.calibrating import calibrate
from understudies.trainer.factory import NotApplicable, StudentTrainer, TrainedStudent, TrainingData
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.validation import ValidationCall, held_out_examples, judge_student


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
    from understudies.students.classifier import is_encoder_installed
    from understudies.students.classifier_student import ClassifierStudent, NotClosedSetError

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
    from understudies.students.few_shot import FewShotStudent

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
