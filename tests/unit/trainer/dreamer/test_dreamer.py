import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_messages import assistant_message
from tests.support.chat_server import ChatServer, chat_server
from tests.support.datasets import TASK, dataset, intents
from tests.support.writing_teacher import WritingTeacher, distinct_messages

from understudies.datasets.dataset import Dataset, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Invocation, Promotion, SeededIds, split_of
from understudies.judges.registry import parse_judge
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.trainer.ablation import select_by_ablation
from understudies.trainer.app import TrainerApp, create_app
from understudies.trainer.dreamer import dreamer
from understudies.trainer.journal import Journal, StoredJournal
from understudies.trainer.selection import Selection
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TrainingData

NIGHT = datetime(2026, 1, 12, 3, tzinfo=UTC)
WORDS = {"back": "refund", "refund": "refund", "return": "refund", "pin": "change pin", "number,": "change pin"}
PROMPT_USD, COMPLETION_USD = Decimal("0.000001"), Decimal("0.0000055")


def label(text: str) -> str:
    return next((intent for word, intent in WORDS.items() if word in text.split()), "card arrival")


class Setup:
    """A trainer with a teacher at an endpoint."""

    def __init__(self, files: ObjectStore, teacher: WritingTeacher, server: ChatServer) -> None:
        self.files = files
        self.teacher = teacher
        self.server = server
        self.bus = CapturingBus()
        self.apps: list[TrainerApp] = []

    def app(self, *, budget: str | None = "0.05", **rules: Any) -> TrainerApp:
        chosen = TaskRules.model_validate({"dream_daily_budget_usd": budget, "dream_hours": "0-6", **rules})
        app = create_app(
            TrainerSettings(encoder=False, dream_endpoint="teacher", dream_batch=5),
            bus=self.bus.bus,
            clock=VirtualClock(NIGHT),
            object_store=self.files,
            new_id=SeededIds(1),
            rules=Rules(defaults=chosen),
        )
        self.apps.append(app)
        return app

    def collected(self, data: Dataset, version: int = 1) -> Promotion:
        return self.told("collected", version, dataset=write_dataset(self.files, TASK, data.examples)[0])

    def told(self, stage: Any, version: int = 1, **rest: Any) -> Promotion:
        at = NIGHT - timedelta(days=1)
        return Promotion(id=f"{stage}-{version}", at=at, task=TASK, student=f"{TASK}@{version}", stage=stage, **rest)

    async def follow(self, app: TrainerApp, data: Dataset) -> None:
        """Let the app know of a student that another process has trained on the data."""
        uri = write_dataset(self.files, TASK, data.examples)[0]
        await app.handle(to_records(self.told("trained", dataset=uri)))

    async def train(self, app: TrainerApp, data: Dataset) -> None:
        await app.handle(to_records(self.collected(data)))
        await app.handle(to_records(self.bus.published[-1]))

    @property
    def cost(self) -> Decimal:
        """What the teacher has to be paid."""
        return self.teacher.prompt_tokens * PROMPT_USD + self.teacher.completion_tokens * COMPLETION_USD

    @property
    def spent(self) -> Decimal:
        """What the published calls cost."""
        return sum((one.cost_usd for one in self.written), Decimal(0))

    @property
    def written(self) -> list[Invocation]:
        return [event for event in self.bus.published if isinstance(event, Invocation)]

    @property
    def examples(self) -> list[Invocation]:
        return [event for event in self.written if event.response is not None]


@pytest.fixture
async def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    pool = itertools.chain(distinct_messages("pin"), distinct_messages("refund"))
    teacher = WritingTeacher(label, lambda count: list(itertools.islice(pool, count)))
    async with chat_server(teacher) as server:
        for name, value in {
            "BASE_URL": server.base_url,
            "MODEL": "teacher-1",
            "USD_PER_MILLION_PROMPT_TOKENS": "1",
            "USD_PER_MILLION_COMPLETION_TOKENS": "5.5",
        }.items():
            monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__TEACHER__{name}", value)
        setup = Setup(ObjectStore(f"file://{tmp_path}"), teacher, server)
        yield setup
        for app in setup.apps:
            await app.stop()


async def test_a_batch_is_written_answered_twice_and_published_with_its_whole_cost(setup: Setup) -> None:
    app = setup.app()
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    assert len(setup.examples) == 5
    assert setup.teacher.asked_to_write == 1
    assert sorted(setup.teacher.answered) == sorted(2 * [one.request.messages[-1].text for one in setup.examples])
    for one in setup.examples:
        assert (one.origin, one.task, one.model, one.served_by) == ("synthetic", TASK, "teacher-1", "teacher")
        assert one.response is not None
        assert one.response.message.text == label(one.request.messages[-1].text)
        assert one.request.system == "Name the intent."
        assert one.cost_usd > 0
    [summary] = [one for one in setup.written if one.response is None]
    assert summary.error == "5 of 5 written inputs were kept"
    assert setup.spent == setup.cost


async def test_without_a_budget_nothing_is_asked(setup: Setup) -> None:
    app = setup.app(budget=None)
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    assert not setup.server.bodies


async def test_nothing_is_written_for_a_critical_task_or_at_another_hour(setup: Setup) -> None:
    for app in (setup.app(critical=True), setup.app(dream_hours="4-6"), setup.app(dream_hours=None)):
        await setup.follow(app, intents(120))
        await app.tick(NIGHT)
    assert not setup.server.bodies


async def test_nothing_is_written_for_a_student_that_has_ended(setup: Setup) -> None:
    app = setup.app()
    await setup.follow(app, intents(120))
    await app.handle(to_records(setup.told("retired")))
    await app.tick(NIGHT)
    assert not setup.server.bodies


async def test_the_budget_of_a_day_is_kept_and_renewed_across_restarts(setup: Setup) -> None:
    app = setup.app(budget="0.02")
    await setup.follow(app, intents(600))
    for _ in range(30):
        await app.tick(NIGHT)
    spent = setup.spent
    assert Decimal("0.01") < spent == setup.cost <= Decimal("0.02")
    other = setup.app(budget="0.02")
    await other.restore(app.state())
    await other.tick(NIGHT + timedelta(hours=1))
    assert setup.spent == spent
    await other.tick(NIGHT + timedelta(days=1))
    assert setup.spent == setup.cost > spent


async def test_what_fails_after_it_was_paid_for_counts_to_the_budget(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again every ten minutes, and would be paid for without an end."""
    app = setup.app(budget="0.005")
    await setup.follow(app, intents(600))
    monkeypatch.setattr(dreamer, "_is_refused", Mock(side_effect=ValueError("a library fails on an answer")))
    for number in range(24):
        await app.tick(NIGHT + timedelta(minutes=10 * number))
    assert not setup.written
    assert Decimal(0) < setup.cost <= Decimal("0.005")


async def test_no_more_is_written_than_the_share_of_synthetic_examples_allows(setup: Setup) -> None:
    app = setup.app(budget="10")
    data = intents(60)
    await setup.follow(app, data)
    for _ in range(20):
        await app.tick(NIGHT)
    assert len(setup.examples) == len(data.in_split("train")) // 3


async def test_what_does_not_pass_is_paid_for_and_not_published(setup: Setup) -> None:
    known = intents(120).examples[0].request.messages[-1].text
    doubts = itertools.cycle(["change pin", "refund"])
    setup.teacher.label = lambda text: next(doubts) if "lost the parcel near mountain" in text else "change pin"
    setup.teacher.write = lambda count: [
        known,
        "x",
        "somebody lost the parcel near mountain with my pin",
        "where would I get another pin from if mine went away",
    ]
    app = setup.app()
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    [kept] = setup.examples
    assert kept.request.messages[-1].text.startswith("where would I get")
    [summary] = [one for one in setup.written if one.response is None]
    assert summary.error == "1 of 4 written inputs were kept"
    assert setup.spent == setup.cost


async def test_a_reply_without_inputs_is_paid_for(setup: Setup) -> None:
    setup.teacher.write = lambda count: []
    app = setup.app()
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    [summary] = setup.written
    assert (summary.error, summary.cost_usd) == ("0 of 0 written inputs were kept", setup.cost)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("MODEL", "teacher-2", "another model's answers"),
        ("MODEL", "teacher-1-mini", "another model's answers"),
        ("BASE_URL", "http://127.0.0.1:9/v1", "unavailable"),
    ],
)
async def test_another_model_or_an_endpoint_that_is_away_is_told_and_left_alone_for_a_while(
    setup: Setup,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    remedy: str,
) -> None:
    right = {"MODEL": "openai/teacher-1-2026-01-01", "BASE_URL": setup.server.base_url}
    monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__TEACHER__{name}", value)
    app = setup.app()
    await setup.follow(app, intents(120))
    with caplog.at_level(logging.WARNING):
        await app.tick(NIGHT)
    assert remedy in caplog.text
    monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__TEACHER__{name}", right[name])
    await app.tick(NIGHT + timedelta(minutes=9))
    assert not setup.written
    await app.tick(NIGHT + timedelta(minutes=10))
    assert setup.examples


async def test_an_endpoint_without_a_price_is_refused_with_the_remedy(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("PROMPT", "COMPLETION"):
        monkeypatch.delenv(f"UNDERSTUDIES_ENDPOINTS__TEACHER__USD_PER_MILLION_{name}_TOKENS")
    app = setup.app()
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    assert "UNDERSTUDIES_ENDPOINTS__TEACHER__USD_PER_MILLION_PROMPT_TOKENS" in caplog.text
    assert not setup.server.bodies


async def test_what_a_library_or_the_files_bring_up_does_not_stop_the_trainer(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = setup.app()
    await setup.follow(app, intents(120))
    for error in (ValueError("singular matrix"), RetryLater("the object store is away")):
        with monkeypatch.context() as patched:
            patched.setattr(dreamer, "find_weak_spots", Mock(side_effect=error))
            await app.tick(NIGHT)
        assert "no examples were written" in caplog.text
        app._dreamer._not_before.clear()
    assert "singular matrix" in caplog.text
    await app.tick(NIGHT)
    assert setup.examples


async def test_where_examples_did_not_help_no_more_are_written(setup: Setup) -> None:
    app = setup.app()
    data = intents(200)
    harmful = [
        one.model_copy(update={"id": f"dream-{number}", "fingerprint": f"{number:064x}", "synthetic": True})
        for number, one in enumerate(data.in_split("train")[:30])
    ]
    await setup.train(app, Dataset(TASK, (*data.examples, *harmful)))
    trained = setup.bus.published[-1]
    assert isinstance(trained, Promotion)
    assert trained.evidence["synthetic"] == {
        "examples": 30,
        "kept": False,
        "share_with": pytest.approx(1.0, abs=0.1),
        "share_without": pytest.approx(1.0, abs=0.1),
    }
    assert "30 synthetic examples were left out" in trained.reason
    assert trained.evidence["examples"] == len(data.in_split("train"))
    await app.tick(NIGHT)
    assert not setup.server.bodies


async def test_examples_that_make_intents_known_are_kept(setup: Setup) -> None:
    # Two in five calls are of intents that the verb alone tells apart, and of those the training split has four.
    rare = itertools.islice(distinct_messages("somebody"), 0, 1000, 3)
    calls = [(one.request.messages[-1].text, one.answer.text) for one in intents(500).examples]
    calls += [
        (text, "music" if text.split()[0] in ("lost", "sold", "hid", "found", "moved") else "sport") for text in rare
    ]
    data = _with_labels(calls)
    few = [one for one in data.examples if one.answer.text not in ("music", "sport") or one.split != "train"]
    taught = [one for one in data.examples if one.answer.text in ("music", "sport") and one.split == "train"]
    written = [one.model_copy(update={"synthetic": True}) for one in taught[4:104]]
    app = setup.app()
    await setup.train(app, Dataset(TASK, (*few, *taught[:4], *written)))
    trained = setup.bus.published[-1]
    assert isinstance(trained, Promotion)
    found: Any = trained.evidence["synthetic"]
    assert found["kept"], found
    assert found["share_with"] >= found["share_without"] + 0.05
    assert "100 synthetic examples were kept" in trained.reason
    await app.tick(NIGHT)
    assert setup.examples


async def test_more_synthetic_examples_than_the_share_are_left_out(setup: Setup) -> None:
    app = setup.app()
    data = intents(90)
    train = data.in_split("train")
    many = [
        one.model_copy(update={"id": f"dream-{number}", "fingerprint": f"{number:064x}", "synthetic": True})
        for number, one in enumerate([*train, *train])
    ]
    await setup.train(app, Dataset(TASK, (*data.examples, *many)))
    trained = setup.bus.published[-1]
    assert isinstance(trained, Promotion)
    found: Any = trained.evidence["synthetic"]
    assert found["examples"] == len(train) // 3


async def test_an_answer_is_published_once_though_the_broker_was_away(setup: Setup) -> None:
    app = setup.app()
    await setup.follow(app, intents(120))
    pool = distinct_messages("pin")

    def write(count: int) -> list[str]:
        setup.bus.failing = ConnectionError("away")
        return list(itertools.islice(pool, count))

    setup.teacher.write = write
    with pytest.raises(ConnectionError):
        await app.tick(NIGHT)
    assert not setup.written
    asked = len(setup.server.bodies)
    other = setup.app()
    await other.restore(app.state())
    await asyncio.wait_for(other.handle([]), 10)
    assert len(setup.examples) == 5
    assert len(setup.server.bodies) == asked


def _with_labels(calls: list[tuple[str, str]]) -> Dataset:
    made = dataset((text, assistant_message(answer)) for text, answer in calls)
    assert all(one.split == split_of(one.fingerprint) for one in made.examples)
    return made


async def test_both_trainings_of_an_ablation_count_and_share_what_was_paid_for(tmp_path: Path) -> None:
    journal = StoredJournal(ObjectStore(f"file://{tmp_path}"), "triage@1")
    journals: list[Journal] = []
    data = intents(30)
    written = data.examples[0].model_copy(update={"synthetic": True, "split": "train"})
    given = TrainingData(Dataset(TASK, (*data.examples, written)), parse_judge("label"), 0, journal=journal)

    def select(tried: TrainingData) -> Selection:
        journals.append(tried.journal)
        return Selection((), 0.95, Decimal(2))

    _, selection, _ = select_by_ablation(given, TrainerSettings(), select)
    assert journals == [journal, journal]
    assert selection.cost_usd == 4


async def test_the_teacher_is_never_shown_what_may_not_train(setup: Setup) -> None:
    app = setup.app(require_consent=True)
    await setup.follow(app, intents(120))
    await app.tick(NIGHT)
    assert setup.written == [], "nothing was said of any example"
    data = intents(240)
    marked = [one.model_copy(update={"consent": number % 2 == 0}) for number, one in enumerate(data.examples)]
    other = setup.app()
    await setup.follow(other, Dataset(TASK, tuple(marked)))
    await other.tick(NIGHT)
    assert len(setup.examples) == 5
    shown = str(setup.server.bodies)
    seen = {one.consent for one in marked if re.search(re.escape(one.request.messages[-1].text) + r"(?!\d)", shown)}
    assert seen == {True}
