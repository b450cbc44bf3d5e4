"""What single services know, joined, is what one process knows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import TASK
from tests.support.promoted_student import STUDENT, write_promoted_student
from tests.support.standings import TRIAL
from tests.support.trials import TRAINED, EvaluatorHarness, ScriptedStudent, traffic

from understudies.budget.settings import BudgetSettings
from understudies.datasets.object_store import ObjectStore
from understudies.judges.backends import BACKENDS
from understudies.judges.judge_health import JudgeHealth
from understudies.judges.materials import JudgeRefusedError
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.status.joining import join_parts, join_story
from understudies.status.part_readers import (
    budget_reader,
    read_budget_part,
    read_evaluator_part,
    read_observer_part,
)
from understudies.status.parts import (
    STATUS_PART,
    BudgetPart,
    EvaluatorPart,
    OwnedPartitions,
    RouterPart,
    StatusPart,
    TrainerPart,
    TrialStanding,
)
from understudies.status.reader import StatusReader
from understudies.status.running import RunningProcess
from understudies.status.saved_services import open_saved_status
from understudies.status.services import RunningServices
from understudies.status.standing import TaskStanding, TrialProgress

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def over_the_wire(part: StatusPart) -> StatusPart:
    return STATUS_PART.validate_json(part.model_dump_json())


async def parts_of(reader: StatusReader, now: datetime) -> list[StatusPart]:
    assert reader.store is not None
    budget = budget_reader(reader.budget, reader.rules, BudgetSettings())
    evaluation: Any = reader.evaluation
    return [
        over_the_wire(await read_budget_part(budget, now)),
        over_the_wire(read_evaluator_part(evaluation, now)),
        over_the_wire(await read_observer_part(reader.store, TASK, now)),
        over_the_wire(RouterPart(at=now, not_loaded=dict(reader.not_loaded()))),
    ]


@pytest.mark.parametrize("has_files", [True, False])
async def test_a_student_in_force_stands_as_in_one_process(
    tmp_path: Path, has_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BACKENDS, "health", JudgeHealth())
    BACKENDS.health.record_failure("llm[tone]", JudgeRefusedError("the endpoint refuses the key"))
    tone = {"kind": "llm", "endpoint": "checker", "model": "judge-1", "rubric": "The same tone."}
    rules = Rules.model_validate({"judges": {"tone": tone}, "defaults": {"judge": "llm[tone]"}})
    await write_promoted_student(tmp_path)
    if not has_files:
        (tmp_path / "artifacts" / "artifacts").rename(tmp_path / "elsewhere")
    now = datetime.now(UTC)
    async with open_saved_status(tmp_path, RulesSource(rules)) as reader:
        whole = await reader.overview(now)
        joined = join_parts(parts := await parts_of(reader, now), whole.source, now)
        story = await reader.story(TASK, now)
    assert joined == whole
    (standing,) = joined.tasks
    assert (standing.student, standing.phase, bool(standing.not_loaded)) == (STUDENT, "serving", not has_files)
    assert standing.judge_failure == "the endpoint refuses the key"
    assert story is not None
    assert join_story(parts) == story.events


async def test_the_progress_of_a_trial_comes_from_the_evaluator(tmp_path: Path) -> None:
    bench = EvaluatorHarness(ObjectStore(f"file://{tmp_path}"), ScriptedStudent())
    await bench.handle(bench.promotion("trained"))
    await bench.handle(*traffic(0, 40, hours=20))
    part = read_evaluator_part(bench.app.evaluation, TRAINED)
    (name,) = part.trials
    standing = TaskStanding(task=TASK, phase="trial", waits_for="?", student=name, stage="trained", promised=0.5)
    (joined,) = join_parts([BudgetPart(at=NOW, tasks=(standing,)), over_the_wire(part)], "", NOW).tasks
    assert joined.promised == 0.95
    assert joined.next_look is not None
    assert joined.next_look >= TRAINED + timedelta(days=1)
    assert joined.trial is not None
    assert joined.waits_for.startswith(f"the look at the gates of {name} at ")


def test_how_far_a_training_has_come_comes_from_the_trainer() -> None:
    standing = TaskStanding(
        task=TASK, phase="trial", waits_for="?", student=f"{TASK}@1", stage="collected", promised=0.95
    )
    part = over_the_wire(TrainerPart(at=NOW, training={f"{TASK}@1": "lora, step 40 of 200"}))
    (joined,) = join_parts([BudgetPart(at=NOW, tasks=(standing,)), part], "", NOW).tasks
    assert joined.waits_for == f"its training ({TASK}@1): lora, step 40 of 200"
    trained = standing.model_copy(update={"stage": "trained"})
    assert join_parts([BudgetPart(at=NOW, tasks=(trained,)), part], "", NOW).tasks == (trained,)


@pytest.mark.parametrize("judge", ["llm[tone]", "llm[tone;spec:0a1b;false:1;of:240]"])
def test_why_a_judge_gives_no_verdict_comes_from_whoever_asked_it(judge: str) -> None:
    failures = {"llm[tone]": "the endpoint refuses the key"}
    standing = TaskStanding(task=TASK, phase="recording", waits_for="?", promised=0.95, judge=judge)
    other = standing.model_copy(update={"task": "other", "judge": "label"})
    for part in (
        EvaluatorPart(at=NOW, trials={}, judge_failures=failures),
        TrainerPart(at=NOW, judge_failures=failures),
    ):
        joined = join_parts([BudgetPart(at=NOW, tasks=(standing, other)), over_the_wire(part)], "", NOW)
        assert [task.judge_failure for task in joined.tasks] == [None, "the endpoint refuses the key"]


def test_a_proven_student_that_waits_for_approval_still_does(tmp_path: Path) -> None:
    waiting = TRIAL.model_copy(update={"waits_for": f"the approval of {TRIAL.student}, which is proven"})
    progress = TrialProgress(input_evidence=1, call_evidence=1, evidence_needed=20, verdicts=1, calls=1, whole_days=1)
    trials = {TRIAL.student or "": TrialStanding(promised=0.9, progress=progress)}
    parts: list[StatusPart] = [BudgetPart(at=NOW, tasks=(waiting,)), EvaluatorPart(at=NOW, trials=trials)]
    assert join_parts(parts, "", NOW).tasks[0].waits_for == waiting.waits_for


def test_without_a_budget_service_nobody_knows_the_tasks() -> None:
    with pytest.raises(ConfigurationError, match="none of these is the budget service"):
        services_that_tell(RouterPart(at=NOW, not_loaded={})).overview()
    overview = services_that_tell(BudgetPart(at=NOW, tasks=())).overview()
    assert "no evaluator was asked, so how far trials are is not known" in overview.source
    assert overview.missing == ()


class Told(RunningProcess):
    """A process that tells what it was given, or does not answer."""

    told: StatusPart | None = None

    def part(self, task: str | None = None) -> StatusPart:
        if self.told is None:
            raise RetryLater(f"nothing answers at {self.url}")
        return over_the_wire(self.told)


def services_that_tell(*parts: StatusPart | None) -> RunningServices:
    return RunningServices([Told(url=f"http://copy-{number}:9100", told=part) for number, part in enumerate(parts)])


def make_copy(*numbers: int, tasks: Sequence[str]) -> BudgetPart:
    standings = tuple(TaskStanding(task=task, phase="recording", waits_for="?", promised=0.95) for task in tasks)
    return BudgetPart(at=NOW, tasks=standings, partitions=OwnedPartitions(numbers=numbers, count=6))


def task_of(partition: int) -> str:
    return next(name for name in map(str, range(1000)) if TaskPartition(partition, 6).owns(name))


def test_what_copies_that_do_not_answer_have_is_named() -> None:
    first, second = make_copy(0, 1, 2, tasks=["a"]), make_copy(3, 5, tasks=["b"])
    overview = services_that_tell(first, None, second).overview()
    assert [task.task for task in overview.tasks] == ["a", "b"]
    away, lack = overview.missing
    assert away == "nothing answers at http://copy-1:9100"
    assert lack.startswith(
        "of 6 partitions, 4 is with no copy of budget that answered, so their tasks are missing here"
    )
    assert "no evaluator answered, so" in overview.source


def test_copies_that_nobody_named_are_missed() -> None:
    part = EvaluatorPart(at=NOW, trials={}, partitions=OwnedPartitions(numbers=(0, 2, 4), count=6))
    overview = services_that_tell(make_copy(0, 1, 2, 3, 4, 5, tasks=["a"]), part).overview()
    (lack,) = overview.missing
    assert lack.startswith("of 6 partitions, 1, 3, 5 are with no copy of evaluator that answered, so how far trials")


def test_a_task_that_may_be_missing_is_not_called_unknown() -> None:
    services = services_that_tell(make_copy(0, 1, 2, 3, tasks=[task_of(0)]), None)
    story = services.story(task_of(0))
    assert story is not None
    assert len(story.missing) == 2
    assert services.story(task_of(3)) is None
    with pytest.raises(
        RetryLater, match=r"is not known to those that answered; nothing answers .* of 6 partitions, 4, 5"
    ):
        services.story(task_of(4))
    # One that tells no partitions may know any.
    with pytest.raises(RetryLater, match="nothing answers at http://copy-1:9100"):
        services_that_tell(BudgetPart(at=NOW, tasks=()), None).story("a")


def test_without_any_budget_that_answers_the_reason_is_told() -> None:
    with pytest.raises(RetryLater, match="nothing answers at http://copy-0:9100"):
        services_that_tell(None, RouterPart(at=NOW, not_loaded={})).overview()
