"""What a model that judges costs while a student is trained: it counts as cost of the training."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_messages import assistant_message
from tests.support.chat_server import ChatServer, chat_server, completion
from tests.support.datasets import START, TASK, intents

from understudies.budget.task_state import TaskState
from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, SeededIds
from understudies.judge_backends.rubric_client import RubricClient
from understudies.judge_backends.settings import JudgeSettings
from understudies.judges.backends import BACKENDS
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.students.artifact import read_artifact
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.trainer.app import TrainerApp
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, StudentTrainer, TrainingData, train_exact_match

RUBRIC = {"kind": "llm", "endpoint": "checker", "model": "judge-1", "rubric": "The same intent."}
RULES = Rules.model_validate({"judges": {"intent": RUBRIC}, "defaults": {"judge": "llm[intent]"}})


@pytest.fixture
async def checker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChatServer]:
    async with chat_server(lambda request: completion({"content": "YES"})) as server:
        endpoint = Endpoint(
            base_url=server.base_url,
            model="judge-1",
            usd_per_million_prompt_tokens=Decimal(1),
            usd_per_million_completion_tokens=Decimal(1),
        )
        client = RubricClient(JudgeSettings(), EndpointSettings(endpoints={"checker": endpoint}))
        monkeypatch.setattr(BACKENDS, "rubric", client)
        yield server
        await asyncio.to_thread(client.close)


async def trained(tmp_path: Path, trainer: Any, **settings: Any) -> tuple[Promotion, ObjectStore, TrainerApp]:
    files, recorder = ObjectStore(f"file://{tmp_path}"), CapturingBus()
    data = intents(120, lambda intent, number: assistant_message(f"{intent} {number}"))
    uri, _ = write_dataset(files, TASK, data.examples)
    app = TrainerApp(
        TrainerSettings(kinds=("probe",), **settings),
        bus=recorder.bus,
        clock=VirtualClock(START),
        object_store=files,
        new_id=SeededIds(1),
        rules=RULES,
        trainers=[StudentTrainer("probe", trainer)],
    )
    collected = Promotion(id="c", at=START, task=TASK, student=f"{TASK}@1", stage="collected", dataset=uri)
    await app.handle(to_records(collected))
    [told] = recorder.published
    assert isinstance(told, Promotion)
    return told, files, app


def asks_the_judge(pairs: int) -> Callable[[TrainingData, TrainerSettings], NotApplicable]:
    """A trainer that has so many pairs of answers judged, and then finds that its kind does not suit the task."""

    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        answers = [example.answer for example in data.dataset.examples]
        for one, other in pairwise(answers[: pairs + 1]):
            data.judge.judge(one, other)
        return NotApplicable("it only asked the judge")

    return train


async def test_what_the_judge_costs_is_in_the_event_and_in_the_ledger(checker: ChatServer, tmp_path: Path) -> None:
    told, _, _ = await trained(tmp_path, asks_the_judge(5))
    assert told.stage == "rejected"
    assert len(checker.bodies) == 10
    cost = Decimal(str(told.evidence["cost_usd"]))
    assert cost == Decimal(str(told.evidence["judging_usd"])) > 0
    state = TaskState(TASK)
    state.fold(told)
    assert state.ledger.training == cost
    again, _, _ = await trained(tmp_path / "again", asks_the_judge(5))
    assert again.evidence["cost_usd"] == "0", "what this process knows already is not asked again"


async def test_a_student_that_is_kept_says_it_in_its_manifest(checker: ChatServer, tmp_path: Path) -> None:
    def train(data: TrainingData, settings: TrainerSettings) -> Any:
        found = train_exact_match(data, settings)
        if isinstance(found, NotApplicable):
            return found
        answers = [example.answer for example in data.dataset.examples]
        data.judge.judge(answers[0], answers[1])
        return found

    told, files, _ = await trained(tmp_path, train)
    cost = Decimal(str(told.evidence["judging_usd"]))
    assert cost > 0
    if told.artifact is not None:
        assert read_artifact(files, told.artifact)[0].cost_usd == Decimal(str(told.evidence["cost_usd"]))


async def test_what_was_spent_before_a_training_was_put_off_is_not_forgotten(
    checker: ChatServer, tmp_path: Path
) -> None:
    tries: list[int] = []

    def train(data: TrainingData, settings: TrainerSettings) -> NotApplicable:
        tries.append(1)
        found = asks_the_judge(5)(data, settings)
        if len(tries) == 1:
            raise RetryLater("the object store is unavailable")
        return found

    files, recorder = ObjectStore(f"file://{tmp_path}"), CapturingBus()
    data = intents(60, lambda intent, number: assistant_message(f"{intent} {number}"))
    uri, _ = write_dataset(files, TASK, data.examples)
    app = TrainerApp(
        TrainerSettings(kinds=("probe",)),
        bus=recorder.bus,
        clock=VirtualClock(START),
        object_store=files,
        new_id=SeededIds(1),
        rules=RULES,
        trainers=[StudentTrainer("probe", train)],
    )
    await app.handle(
        to_records(Promotion(id="c", at=START, task=TASK, student=f"{TASK}@1", stage="collected", dataset=uri))
    )
    assert recorder.published == []
    await app.tick(START)
    [told] = recorder.published
    assert isinstance(told, Promotion)
    assert Decimal(str(told.evidence["cost_usd"])) > 0
    assert len(checker.bodies) == 10
