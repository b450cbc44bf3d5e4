"""What a training pays before it is put off: it is in the ledger, once, also across a restart."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_server import ChatServer, chat_server, completion
from tests.support.datasets import START, TASK, intents

from understudies.budget.task_state import TaskState
from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, SeededIds
from understudies.judges.backends import BACKENDS, RubricAnswer
from understudies.judges.materials import JudgeBudgetSpentError
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.trainer.app import TrainerApp
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, StudentTrainer, TrainingData, train_few_shot

RUBRIC = {"kind": "llm", "endpoint": "checker", "model": "judge-1", "rubric": "The same intent."}
RULES = Rules.model_validate({"judges": {"intent": RUBRIC}, "defaults": {"judge": "llm[intent]"}})
ANSWER_USD = Decimal("0.000007")
"""Of seven prompt tokens at a dollar a million."""
QUESTION_USD = Decimal("0.25")


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChatServer]:
    """The model of few-shot students, whose every answer is another one than the teacher's."""
    async with chat_server(lambda body: completion({"content": "something else"})) as server:
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", server.base_url)
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "small-1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__USD_PER_MILLION_PROMPT_TOKENS", "1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__USD_PER_MILLION_COMPLETION_TOKENS", "0")
        yield server


@dataclass
class Checker:
    """A judge that asks a model at a price; its budget allows so many questions."""

    allowed: int
    asked: int = 0

    def __call__(self, spec: str, teacher: str, student: str, is_audit: bool) -> RubricAnswer:
        if self.asked >= self.allowed:
            raise JudgeBudgetSpentError("the budget of the day is spent")
        self.asked += 1
        return RubricAnswer(True, True, QUESTION_USD)


@dataclass
class House:
    """A trainer, and one that takes its place after a restart."""

    files: ObjectStore
    trainers: Sequence[StudentTrainer]
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START))
    recorder: CapturingBus = field(default_factory=CapturingBus)

    def __post_init__(self) -> None:
        self.app = self._create()

    def _create(self) -> TrainerApp:
        kinds = tuple(trainer.kind for trainer in self.trainers)
        return TrainerApp(
            TrainerSettings(
                kinds=kinds,
                few_shot_endpoint="cheap",
                few_shot_validation=10,
                usd_per_1000_examples={"first": Decimal(1)},
            ),
            bus=self.recorder.bus,
            clock=self.clock,
            object_store=self.files,
            new_id=SeededIds(1),
            rules=RULES,
            trainers=self.trainers,
        )

    async def restart(self) -> None:
        state: Any = self.app.state()
        self.app = self._create()
        await self.app.restore(state)

    async def collect(self) -> None:
        uri, _ = write_dataset(self.files, TASK, intents(120).examples)
        collected = Promotion(id="c", at=START, task=TASK, student=f"{TASK}@1", stage="collected", dataset=uri)
        await self.app.handle(to_records(collected))

    def ledger_training(self) -> Decimal:
        """What the ledger says of the one outcome."""
        [told] = self.recorder.published
        state = TaskState(TASK)
        state.fold(told)
        return state.ledger.training


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_paid_before_the_judge_gave_no_more_verdicts_is_in_the_ledger(
    model: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    checker = Checker(allowed=4)
    monkeypatch.setattr(BACKENDS, "rubric", checker)
    house = House(ObjectStore(f"file://{tmp_path}"), [StudentTrainer("few_shot", train_few_shot)])
    await house.collect()
    assert house.recorder.published == []
    paid_in_vain = len(model.bodies)
    assert paid_in_vain > 0
    if restarted:
        await house.restart()
    checker.allowed = 1_000_000
    house.clock.set(START.replace(day=START.day + 1))
    await house.app.tick(house.clock.now())
    assert len(model.bodies) == 2 * paid_in_vain
    assert house.ledger_training() == len(model.bodies) * ANSWER_USD + checker.asked * QUESTION_USD


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("error", [RetryLater("not now"), ValueError("a bug")])
async def test_candidates_before_the_one_that_ends_a_training_are_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool, error: Exception
) -> None:
    tries: list[int] = []

    def first(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        return NotApplicable("it does not suit", charged_usd=Decimal("0.75"))

    def second(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        tries.append(1)
        data.unreported.add(Decimal("0.5"))
        if len(tries) < 3:
            raise error
        return NotApplicable("neither does it", charged_usd=Decimal("0.125"))

    house = House(
        ObjectStore(f"file://{tmp_path}"), [StudentTrainer("first", first), StudentTrainer("few_shot", second)]
    )
    await house.collect()
    for _ in range(2):
        if restarted:
            await house.restart()
        await house.app.tick(START)
    expected = 3 * Decimal("1.25") + Decimal("0.125") if isinstance(error, RetryLater) else Decimal("1.25")
    assert house.ledger_training() == expected


async def test_what_is_in_the_journal_is_counted_once(tmp_path: Path) -> None:
    """A job that was begun before the training was put off is found again, and paid for once."""
    tries: list[int] = []

    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        tries.append(1)
        cost = Decimal(0) if "job" in data.counted else Decimal(3)
        data.counted.add("job")
        if len(tries) == 1:
            data.unreported.add(cost)
            raise RetryLater("not now")
        return NotApplicable("it does not suit", charged_usd=cost)

    house = House(ObjectStore(f"file://{tmp_path}"), [StudentTrainer("few_shot", train)])
    await house.collect()
    await house.restart()
    await house.app.tick(START)
    assert house.ledger_training() == 3


async def test_an_outcome_that_cannot_be_saved_is_paid_for_when_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        return NotApplicable("it does not suit", charged_usd=Decimal(2))

    house = House(ObjectStore(f"file://{tmp_path}"), [StudentTrainer("few_shot", train)])
    finish = TrainerApp._finish

    def unavailable(*_: Any) -> Promotion:
        raise RetryLater("the object store is unavailable")

    monkeypatch.setattr(TrainerApp, "_finish", unavailable)
    await house.collect()
    monkeypatch.setattr(TrainerApp, "_finish", finish)
    state: Any = house.app.state()
    await house.app.tick(START)
    assert house.ledger_training() == 2, "it was still there"
    again = House(house.files, house.trainers)
    await again.app.restore(state)
    await again.app.tick(START)
    assert again.ledger_training() == 4, "after a restart it is trained once more"
