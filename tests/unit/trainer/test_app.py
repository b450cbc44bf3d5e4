import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_messages import assistant_message
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import START, TASK, intents

from understudies.datasets.dataset import Dataset, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, SeededIds
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.students.artifact import read_artifact
from understudies.students.head_inputs import HeadInputs, input_name
from understudies.students.loader import load_student
from understudies.trainer import app as trainer_app
from understudies.trainer.app import TrainerApp, create_app
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import (
    NotApplicable,
    StudentTrainer,
    TrainedStudent,
    TrainingData,
    train_exact_match,
)
from understudies.trainer.validation import NoVerdicts

LATER = START + timedelta(days=7)


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


def make(files: ObjectStore, recorder: CapturingBus, rules: Rules | None = None, **settings: Any) -> TrainerApp:
    return create_app(
        TrainerSettings(encoder=False, **settings),
        bus=recorder.bus,
        clock=VirtualClock(LATER),
        object_store=files,
        new_id=SeededIds(1),
        rules=rules,
    )


def collected(files: ObjectStore, data: Dataset | None, version: int = 1) -> Promotion:
    uri = write_dataset(files, TASK, data.examples)[0] if data else None
    return told("collected", version, dataset=uri)


def told(stage: Any, version: int = 1, **rest: Any) -> Promotion:
    return Promotion(id=f"{stage}-{version}", at=LATER, task=TASK, student=f"{TASK}@{version}", stage=stage, **rest)


def only(recorder: CapturingBus) -> Promotion:
    [story] = recorder.published
    assert isinstance(story, Promotion)
    return story


def random_labels() -> Dataset:
    rng = random.Random(7)
    return intents(600, lambda intent, number: assistant_message(f"label {rng.randrange(10)}"))


async def test_the_progress_of_a_training_is_told_until_it_ends(files: ObjectStore) -> None:
    seen: list[dict[str, str]] = []

    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        data.report("step 1 of 2")
        seen.append(dict(app.progress))
        return NotApplicable("it was only about the progress")

    app = TrainerApp(
        TrainerSettings(kinds=("slow",)),
        bus=CapturingBus().bus,
        clock=VirtualClock(LATER),
        object_store=files,
        new_id=SeededIds(1),
        trainers=[StudentTrainer("slow", train)],
    )
    await app.handle(to_records(collected(files, intents(30))))
    assert seen == [{"triage@1": "step 1 of 2"}]
    assert app.progress == {}


async def test_what_was_collected_is_trained(files: ObjectStore) -> None:
    recorder = CapturingBus()
    data = intents(300)
    await make(files, recorder).handle(to_records(collected(files, data)))
    story = only(recorder)
    assert (story.stage, story.student, story.at) == ("trained", "triage@1", LATER)
    assert story.reason.startswith("classifier without encoder is expected to serve ")
    evidence: dict[str, Any] = dict(story.evidence)
    assert evidence["kind"] == "classifier"
    assert evidence["judge"] == "label"
    assert evidence["min_agreement"] == 0.95
    assert evidence["examples"] == data.counts["train"]
    assert evidence["cost_usd"] == f"{data.counts['train'] / 1_000_000:.6f}".rstrip("0")
    assert evidence["validation"]["n"] == data.counts["validation"]
    assert evidence["validation"]["expected_coverage"] > 0.9
    assert evidence["validation"]["risk_coverage"]
    assert [tried["kind"] for tried in evidence["tried"]] == ["classifier"]
    assert evidence["seconds"] >= 0


async def test_the_artifact_says_where_it_comes_from_and_can_be_loaded(files: ObjectStore) -> None:
    recorder = CapturingBus()
    data = intents(300)
    story = collected(files, data)
    await make(files, recorder).handle(to_records(story))
    trained = only(recorder)
    assert trained.dataset == story.dataset
    assert trained.artifact is not None
    manifest, _ = read_artifact(files, trained.artifact)
    assert manifest.dataset_digest in (story.dataset or "")
    assert (manifest.student, manifest.splits, manifest.teachers) == ("triage@1", data.counts, ("teacher-1",))
    assert manifest.created == LATER
    student = load_student(files, trained.artifact)
    [answer] = await student.answer([data.in_split("evidence")[0].request])
    assert answer.text == data.in_split("evidence")[0].answer.text


async def test_what_many_calls_asked_is_remembered_in_the_artifact(files: ObjectStore) -> None:
    recorder = CapturingBus()
    data = intents(300)
    often = data.in_split("evidence")[0]
    answers = {
        "calls": 6,
        "answer": assistant_message("as it always was"),
        "repeats": (assistant_message("as it always was"),),
    }
    popular = [one.model_copy(update=answers) if one == often else one for one in data.examples]
    await make(files, recorder).handle(to_records(collected(files, Dataset(TASK, tuple(popular)))))
    artifact = only(recorder).artifact
    assert artifact is not None
    assert HeadInputs.from_files(read_artifact(files, artifact)[1]).input_names == {input_name(often.request)}
    [answer] = await load_student(files, artifact).answer([often.request])
    assert (answer.text, answer.confidence, answer.head) == ("as it always was", 1.0, input_name(often.request))


async def test_an_artifact_of_a_task_without_popular_inputs_has_no_head(files: ObjectStore) -> None:
    recorder = CapturingBus()
    await make(files, recorder).handle(to_records(collected(files, intents(300))))
    artifact = only(recorder).artifact
    assert artifact is not None
    assert "head.json" not in read_artifact(files, artifact)[1]


async def test_two_runs_make_the_same_artifact(files: ObjectStore) -> None:
    one, other = CapturingBus(), CapturingBus()
    for recorder in (one, other):
        await make(files, recorder).handle(to_records(collected(files, intents(120))))
    assert only(one).artifact == only(other).artifact
    assert only(one).evidence | {"seconds": 0} == only(other).evidence | {"seconds": 0}


async def test_random_answers_are_rejected_with_the_numbers(files: ObjectStore) -> None:
    recorder = CapturingBus()
    await make(files, recorder).handle(to_records(collected(files, random_labels())))
    story = only(recorder)
    assert (story.stage, story.artifact) == ("rejected", None)
    assert "no student reaches 95% agreement on any tenth of the" in story.reason
    assert story.evidence["tried"]


async def test_where_the_system_prompt_varies_evidence_and_reason_say_so(files: ObjectStore) -> None:
    chance = examples_decided_by_record(450, lambda _, rng: rng.choice(("yes", "no")))
    for version, calls in enumerate((examples_decided_by_record(450), chance), start=1):
        recorder = CapturingBus()
        await make(files, recorder).handle(to_records(collected(files, Dataset(TASK, tuple(calls)), version)))
        story = only(recorder)
        context = story.evidence["context"]
        assert isinstance(context, dict)
        assert context["differs"] == 1.0
        told_so = "the system prompt differs from call to call in 100% of calls (about" in (story.reason or "")
        assert (story.stage, told_so) == (("trained", False) if version == 1 else ("rejected", True))


async def test_the_rules_of_the_task_are_kept(files: ObjectStore) -> None:
    recorder = CapturingBus()
    rules = Rules(tasks={TASK: TaskRules(min_agreement=0.8, judge="exact")})
    await make(files, recorder, rules).handle(to_records(collected(files, intents(300))))
    assert (only(recorder).evidence["min_agreement"], only(recorder).evidence["judge"]) == (0.8, "exact")


@pytest.mark.parametrize("students", [("few_shot",), (f"{TASK}@9",), ()])
async def test_only_students_that_the_rules_allow_are_tried(files: ObjectStore, students: tuple[str, ...]) -> None:
    recorder = CapturingBus()
    rules = Rules(tasks={TASK: TaskRules(students=students)})
    await make(files, recorder, rules, kinds=("classifier",)).handle(to_records(collected(files, intents(300))))
    assert (only(recorder).stage, only(recorder).evidence["tried"]) == ("rejected", [])


@pytest.mark.parametrize("students", [("classifier",), (f"{TASK}@*",)])
async def test_a_student_is_allowed_by_kind_or_by_name(files: ObjectStore, students: tuple[str, ...]) -> None:
    recorder = CapturingBus()
    rules = Rules(tasks={TASK: TaskRules(students=students)})
    await make(files, recorder, rules).handle(to_records(collected(files, intents(300))))
    assert (only(recorder).stage, only(recorder).evidence["kind"]) == ("trained", "classifier")


@pytest.mark.parametrize("stage", ["trained", "rejected", "promoted", "retired"])
async def test_a_student_with_an_outcome_is_not_trained_again(files: ObjectStore, stage: str) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    # In one batch after a restart, or in an earlier one.
    await app.handle(to_records(collected(files, intents(60)), told(stage)))
    await app.handle(to_records(collected(files, intents(60))))
    assert recorder.published == []


async def test_a_redelivery_does_nothing_twice(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    story = collected(files, intents(60))
    await app.handle(to_records(story, story))
    await app.handle(to_records(story))
    assert len(recorder.published) == 1
    again = make(files, recorder)
    await again.restore(app.state())
    await again.handle(to_records(story))
    assert len(recorder.published) == 1


async def test_the_next_version_is_trained(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    await app.handle(to_records(told("authorised"), collected(files, intents(60)), collected(files, intents(90), 2)))
    assert [event.student for event in recorder.published if isinstance(event, Promotion)] == ["triage@1", "triage@2"]


async def test_an_outcome_that_was_not_published_is_published_again_with_its_id(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    story = collected(files, intents(60))
    recorder.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await app.handle(to_records(story))
    await app.handle(to_records(story))
    assert only(recorder).id == SeededIds(1)(LATER)


async def test_a_dataset_that_cannot_be_read_rejects(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    await app.handle(to_records(collected(files, None), told("collected", 2, dataset="datasets/0.jsonl")))
    reasons = [story.reason for story in recorder.published if isinstance(story, Promotion)]
    assert "announced as collected without a dataset" in reasons[0]
    assert "cannot read" in reasons[1]
    assert all(story.stage == "rejected" for story in recorder.published if isinstance(story, Promotion))


async def test_one_student_that_breaks_the_trainer_is_rejected_and_the_next_is_trained(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    with monkeypatch.context() as broken:
        broken.setattr(trainer_app, "select_student", failing(RuntimeError("shape mismatch")))
        await app.handle(to_records(collected(files, intents(60))))
    await app.handle(to_records(collected(files, intents(300), 2)))
    first, second = [story for story in recorder.published if isinstance(story, Promotion)]
    assert (first.stage, first.reason) == ("rejected", "cannot be trained: RuntimeError('shape mismatch')")
    assert (second.student, second.stage) == (f"{TASK}@2", "trained")
    assert caplog.records[0].exc_info is not None


def failing(error: Exception) -> Any:
    def fail(*args: object, **options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_dataset_that_is_away_is_trained_on_once_it_is_back(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    story = collected(files, intents(300))
    with monkeypatch.context() as outage:
        outage.setattr(ObjectStore, "read", failing(RetryLater("no answer")))
        await app.handle(to_records(story))
        await app.tick(LATER)
    assert recorder.published == []
    if restarts:
        state = json.loads(json.dumps(app.state()))
        app = make(files, recorder)
        await app.restore(state)
    await app.tick(LATER)
    await app.tick(LATER)
    assert only(recorder).stage == "trained"
    assert app.state()["due"] == []


async def test_a_training_whose_judge_gives_no_verdicts_is_put_off_not_rejected(files: ObjectStore) -> None:
    """What it was charged until then would be lost, and the next student would pay it again."""
    tried: list[str] = []

    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        tried.append(data.student)
        if len(tried) == 1:
            raise NoVerdicts("no verdict on 20 of 20 answers: the budget is spent")
        return NotApplicable("it was only about the judge")

    recorder, clock = CapturingBus(), VirtualClock(LATER)
    app = TrainerApp(
        TrainerSettings(kinds=("judged",)),
        bus=recorder.bus,
        clock=clock,
        object_store=files,
        new_id=SeededIds(1),
        trainers=[StudentTrainer("judged", train)],
    )
    await app.handle(to_records(collected(files, intents(30))))
    await app.tick(LATER)
    assert (len(tried), recorder.published) == (1, [])
    clock.set(LATER + timedelta(hours=1))
    await app.tick(clock.now())
    assert len(tried) == 2
    assert only(recorder).stage == "rejected"


async def test_a_student_that_is_over_meanwhile_is_not_trained(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    with monkeypatch.context() as outage:
        outage.setattr(ObjectStore, "read", failing(RetryLater("no answer")))
        await app.handle(to_records(collected(files, intents(60))))
    await app.handle(to_records(told("retired")))
    assert (recorder.published, app.state()["due"]) == ([], [])


async def test_a_student_that_cannot_be_kept_now_is_kept_later_without_a_second_training(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    story = collected(files, intents(300))
    with monkeypatch.context() as full:
        full.setattr(ObjectStore, "write", failing(RetryLater("No space left on device")))
        await app.handle(to_records(story))
    assert recorder.published == []
    monkeypatch.setattr(trainer_app, "select_student", failing(AssertionError("trained again")))
    await app.tick(LATER)
    assert only(recorder).stage == "trained"


async def test_the_loop_lives_while_it_trains(files: ObjectStore) -> None:
    app = make(files, CapturingBus())
    training = asyncio.create_task(app.handle(to_records(collected(files, intents(300)))))
    turns = 0
    while not training.done():
        await asyncio.sleep(0)
        turns += 1
    await training
    assert turns > 100


async def test_it_starts_ticks_and_stops(files: ObjectStore) -> None:
    recorder = CapturingBus()
    app = make(files, recorder)
    await app.start()
    await app.tick(LATER)
    await app.stop()
    assert recorder.published == []


def with_consents(data: Dataset, *consents: bool | None) -> Dataset:
    marked = [
        example.model_copy(update={"consent": consents[number % len(consents)]})
        for number, example in enumerate(data.examples)
    ]
    return Dataset(data.task, tuple(marked))


@pytest.mark.parametrize(("required", "kept"), [(True, {True}), (False, {True, None})])
async def test_examples_without_consent_are_never_trained_on_where_it_is_required_nor_refused_ones_at_all(
    files: ObjectStore, required: bool, kept: set[bool | None]
) -> None:
    seen: list[bool | None] = []

    def train(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
        seen.extend(example.consent for example in data.dataset.examples)
        return train_exact_match(data, settings)

    recorder = CapturingBus()
    app = TrainerApp(
        TrainerSettings(kinds=("probe",)),
        bus=recorder.bus,
        clock=VirtualClock(LATER),
        object_store=files,
        new_id=SeededIds(1),
        rules=Rules(defaults=TaskRules(require_consent=required)),
        trainers=[StudentTrainer("probe", train)],
    )
    await app.handle(to_records(collected(files, with_consents(intents(120), True, None, False))))
    assert set(seen) == kept
    assert seen.count(True) == 40


async def test_the_manifest_says_how_many_examples_had_consent(files: ObjectStore) -> None:
    recorder = CapturingBus()
    await make(files, recorder).handle(to_records(collected(files, with_consents(intents(400), True, True, None))))
    artifact = only(recorder).artifact
    assert artifact is not None
    consents = read_artifact(files, artifact)[0].consents
    assert consents == {"given": 267, "not said": 133}


async def test_a_dataset_without_any_consent_is_rejected_with_the_reason(files: ObjectStore) -> None:
    recorder = CapturingBus()
    rules = Rules(defaults=TaskRules(require_consent=True))
    await make(files, recorder, rules).handle(to_records(collected(files, intents(60))))
    told = only(recorder)
    assert (told.stage, told.artifact) == ("rejected", None)
    assert "none of its examples may train a model: 60 have no consent or are refused" in told.reason
