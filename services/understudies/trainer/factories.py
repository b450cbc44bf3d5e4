"""The ladder: every kind of student that can be made here, cheapest first."""

from collections.abc import Sequence

from understudies.students import Endpoints, Example
from understudies.students.cache import CacheStudent
from understudies.trainer.calibrating import calibrate
from understudies.trainer.factory import Declined, Factory, Lesson, Trained
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.validation import Judged, held_out, judge_student


def train_cache(lesson: Lesson, settings: TrainerSettings) -> Trained | Declined:
    """Remember answers. Held-out inputs are never among them, so it is judged on the later repeats in training."""
    train = lesson.dataset.of("train")
    student = CacheStudent.fit(train, lesson.judge)
    if not len(student):
        return Declined("no request was answered alike at temperature 0")
    return Trained(student, student.to_files(), _judged_on_repeats(lesson, train))


def _judged_on_repeats(lesson: Lesson, train: Sequence[Example]) -> tuple[Judged, ...]:
    known = CacheStudent.fit(train[: len(train) // 2], lesson.judge)
    later = [(example, known.answer_one(example.request)) for example in train[len(train) // 2 :]]
    return tuple(
        Judged(answer.confidence, answer.confidence > 0 and lesson.judge.judge(example.answer, answer.message).agreed)
        for example, answer in later
    )


def train_classifier(lesson: Lesson, settings: TrainerSettings) -> Trained | Declined:
    """Tell the answers of a closed set apart."""
    from understudies.students.classifier import encoder_installed
    from understudies.students.classifier_student import ClassifierStudent, NotClosedError

    validation = held_out(lesson.dataset.of("validation"))
    encoder = encoder_installed() if settings.encoder == "auto" else settings.encoder
    try:
        student = ClassifierStudent.fit(
            lesson.dataset.of("train"),
            validation,
            seed=lesson.seed,
            encoder=encoder,
            judge=lesson.judge,
            system=lesson.system,
        )
    except NotClosedError as error:
        return Declined(str(error))
    return Trained(
        student,
        student.to_files(),
        judge_student(student, validation, lesson.judge),
        {"seed": lesson.seed, "encoder": encoder, "classes": student.classes, **student.reading.summary()},
        base_model="wordllama l2_supercat_256" + (", all-MiniLM-L6-v2" if encoder else ""),
        licence="MIT" + (", Apache-2.0" if encoder else ""),
    )


def train_few_shot(lesson: Lesson, settings: TrainerSettings) -> Trained | Declined:
    """Show examples to another model."""
    from understudies.students.few_shot import FewShotStudent

    if settings.few_shot_endpoint is None:
        return Declined("no endpoint is configured")
    endpoint = Endpoints().named(settings.few_shot_endpoint)
    student = FewShotStudent.fit(
        lesson.dataset.of("train"),
        lesson.judge,
        endpoint_name=settings.few_shot_endpoint,
        endpoint=endpoint,
        shots=settings.few_shot_examples,
        nearest=settings.few_shot_nearest,
        pool=settings.few_shot_pool,
        system=lesson.system,
    )
    validation = held_out(lesson.dataset.of("validation"))
    asked = validation[:: max(1, -(-len(validation) // settings.few_shot_validation))]
    found = calibrate(judge_student(student, asked, lesson.judge))
    student = student.calibrated(found.calibration)
    return Trained(
        student,
        student.to_files(),
        found.judged,
        {"shots": settings.few_shot_examples, "nearest": settings.few_shot_nearest},
        base_model=endpoint.model,
        metrics=found.metrics,
    )


LADDER: tuple[Factory, ...] = (
    Factory("cache", train_cache),
    Factory("classifier", train_classifier),
    Factory("few_shot", train_few_shot),
)
