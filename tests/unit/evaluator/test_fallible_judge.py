"""A trial by a judge that errs: more is demanded, and without people's marks nothing is proven."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import TASK
from tests.support.trials import TRAINED, EvaluatorHarness, ScriptedStudent, dataset, events_of_type, traffic

from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.judging import AnswerPair, judge_pairs
from understudies.evaluator.trial import Trial
from understudies.events import Event, GateDecision, Message, Verdict
from understudies.judges import materials
from understudies.judges.backends import BACKENDS
from understudies.judges.base import AGREEMENT, Judgement
from understudies.judges.code import CodeJudge
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import Rules

STUDENT = f"{TASK}@1"


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def on_trial(files: ObjectStore, judge: str, **tables: Any) -> EvaluatorHarness:
    """The trial of a student that gives the teacher's answers, word by word."""
    rules = Rules.model_validate({"judges": tables, "defaults": {"judge": judge}})
    bench = EvaluatorHarness(files, ScriptedStudent(), rules=rules)
    await bench.handle(bench.promotion("trained"))
    return bench


def decision(events: list[Event]) -> GateDecision:
    [found] = events_of_type(GateDecision, events)
    return found


@pytest.mark.parametrize("judge", ["semantic", "semantic[threshold:0.8;false:0;of:60]", "semantic[false:30;of:600]"])
async def test_a_judge_that_is_not_measured_well_enough_promotes_nobody(files: ObjectStore, judge: str) -> None:
    bench = await on_trial(files, judge)
    await bench.handle(*traffic(0, 300))
    found = decision(await bench.look(3))
    assert found.decision == "inconclusive"
    assert "the judge semantic finds that it agrees, but proves nothing" in found.reason
    assert "at least 98 of its agreements marked" in found.reason
    assert found.evidence["judge_error"]["bound"] is None  # type: ignore[index, call-overload]


async def test_a_measured_judge_has_to_agree_more_often_than_is_promised(files: ObjectStore) -> None:
    bench = await on_trial(files, "semantic[threshold:0.8;false:1;of:500]")
    trial = bench.app.evaluation.trials[STUDENT]
    assert trial.promised == pytest.approx(0.95)
    assert trial.p0 == trial.selective_gate.p0 == trial.call_gate.tail_gate.p0 == pytest.approx(0.96605, abs=1e-4)
    assert trial.selective_gate.alpha == trial.alpha / 2 == 0.025
    # Enough for 95%, and too little for 96.6% at half the alpha.
    await bench.handle(*traffic(0, 110))
    assert events_of_type(GateDecision, await bench.look(3)) == []
    await bench.handle(*traffic(110, 400, hours=24 * 6))
    found = decision(await bench.look(8))
    assert found.decision == "promote"
    assert found.reason.startswith("agrees at least 95% on the surest")
    assert "by the judge semantic at least 96.6%, less its error of at most 1.6%" in found.reason
    assert "people contradicted 1 of 500 of its agreements" in found.reason
    assert found.evidence["promised"] == 0.95
    assert trial.judge_error is not None
    assert found.levels[0][0] == pytest.approx(0.98 - trial.judge_error), "levels are what people would see"


async def test_a_snapshot_keeps_what_the_judge_takes(files: ObjectStore) -> None:
    bench = await on_trial(files, "semantic[threshold:0.8;false:1;of:500]")
    trial = bench.app.evaluation.trials[STUDENT]
    again = Trial.from_state(trial.state())
    assert (again.p0, again.promised, again.judge) == (trial.p0, trial.promised, trial.judge)
    unmeasured = (await on_trial(files, "semantic")).app.evaluation.trials[STUDENT]
    assert Trial.from_state(unmeasured.state()).judge_error is None
    old = {key: value for key, value in trial.state().items() if key not in ("judge_error", "alpha")}
    assert Trial.from_state(old).judge_error == 0.0


async def test_people_see_the_answers_on_which_a_judge_that_errs_agrees(files: ObjectStore) -> None:
    bench = await on_trial(files, "semantic[threshold:0.8;false:1;of:500]")
    verdicts = events_of_type(Verdict, await bench.handle(*traffic(0, 3)))
    assert len(verdicts) == 3
    assert all(verdict.agreed and verdict.student_answer for verdict in verdicts)
    plain = await on_trial(files, "label")
    verdicts = events_of_type(Verdict, await plain.handle(*traffic(0, 3)))
    assert {verdict.student_answer for verdict in verdicts} == {None}


async def test_a_failed_judgement_and_one_not_begun_in_time_are_no_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is waited for: an answer that is slow to judge, such as endless code, must not go uncounted."""

    def similarity(one: str, other: str) -> float:
        if "broken" in other:
            raise JudgeUnavailableError("the endpoint is away")
        if "slow" in other:
            wait.wait(30)
            return 0.0
        return 1.0

    wait = threading.Event()
    monkeypatch.setattr(BACKENDS, "similarity", similarity)
    monkeypatch.setattr("understudies.evaluator.judging._CONCURRENCY", 2)
    texts = ("teacher", "fine", "broken", "slow 1", "slow 2", "late")
    said = [Message(role="assistant", content=text) for text in texts]
    pairs = [AnswerPair(said[0], one) for one in said[1:]]
    asyncio.get_running_loop().call_later(1.0, wait.set)
    judged = await judge_pairs(parse_judge("semantic"), pairs, 0.3)
    assert [one and one.agreed for one in judged] == [True, None, False, False, None]


async def test_a_trial_keeps_the_table_of_its_judge_when_rules_change(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, nothing would watch a student that serves: its audits would have no verdicts."""
    tests = {"kind": "code", "tests": "assert double(2) == 4"}
    bench = await on_trial(files, "code[double]", double=tests)
    state = bench.app.evaluation.trials[STUDENT].state()
    with monkeypatch.context() as restarted:
        restarted.setattr(materials, "_texts", {})
        again = Trial.from_state(state)
        assert isinstance(again.judge, CodeJudge)
        assert "double(2)" in materials.read_material(again.judge.spec)


async def test_hours_without_a_judge_let_the_others_prove_nothing_of_the_day(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its budget is spent by noon, day after day: the student fails in the afternoons."""
    bench = await on_trial(files, "semantic[threshold:0.8;false:0;of:2000]")
    half = timedelta(hours=12)

    async def judge_some(pairs_of: Any, pairs: Any, wait_s: float) -> list[Judgement | None]:
        return [AGREEMENT if is_morning else None for _ in pairs]

    monkeypatch.setattr("understudies.evaluator.evaluation.judge_pairs", judge_some)
    for call in traffic(0, 1200, hours=24 * 6):
        is_morning = (call.at - TRAINED) % timedelta(days=1) < half
        await bench.handle(call)
    for day in range(1, 8):
        assert events_of_type(GateDecision, await bench.look(day)) == []
    assert bench.app.evaluation.trials[STUDENT].call_gate.tail_gate.n == 0


@pytest.mark.parametrize(("model", "is_teacher"), [("own", False), (None, True)])
async def test_a_teacher_that_judges_itself_is_named(files: ObjectStore, model: str | None, is_teacher: bool) -> None:
    [teacher] = {example.teacher for example in dataset().examples}
    table = {"kind": "llm", "endpoint": "x", "model": model or teacher, "rubric": "Alike."}
    name = Rules.model_validate({"judges": {"tone": table}, "defaults": {"judge": "llm[tone]"}}).defaults.judge
    assert name is not None
    bench = await on_trial(files, f"{name[:-1]};false:0;of:900]", tone=table)
    await bench.handle(*traffic(0, 400, model=teacher))
    found = decision(await bench.look(3))
    assert found.decision == "promote"
    assert found.evidence["judge_is_teacher"] is is_teacher
    assert ("the judge is the teacher itself" in found.reason) is is_teacher
