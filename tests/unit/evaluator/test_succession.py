"""A student that is proven against the successor of its teacher before the teacher is retired."""

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.datasets import TASK
from tests.support.trials import (
    TRAINED,
    EvaluatorHarness,
    ScriptedStudent,
    dataset,
    events_of_type,
    pool,
    right,
    traffic,
)

from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.trial import Trial
from understudies.events import Drift, GateDecision, Invocation, Response, Route, Verdict, position
from understudies.judges.base import AGREEMENT, Judgement
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.teacher import TeacherSpec
from understudies.students.base import text_answer

STUDENT = f"{TASK}@1"
[TEACHER] = {example.teacher for example in dataset().examples}
SUCCESSOR = "the-next-one"
DAY = timedelta(days=1)


def rules(on: date, **spec: Any) -> Rules:
    of_teacher = {"base_url": "http://localhost/v1", "retires": {TEACHER: on}, "successors": {TEACHER: SUCCESSOR}}
    return Rules(teachers={"own": TeacherSpec.model_validate({**of_teacher, **spec})})


async def in_service(tmp_path: Path, days: float = 10, **spec: Any) -> EvaluatorHarness:
    """A student in service whose teacher is retired so many days after it was trained."""
    found = rules((TRAINED + timedelta(days=days)).date(), **spec)
    bench = EvaluatorHarness(ObjectStore(f"file://{tmp_path}"), ScriptedStudent(), rules=found, min_span_hours=20)
    await bench.handle(bench.promotion("trained"))
    await bench.handle(*traffic(0, 700, hours=24, model=TEACHER))
    [decision] = events_of_type(GateDecision, await bench.look(1))
    assert decision.decision == "promote"
    await bench.handle(bench.promotion("promoted", share=1.0, threshold=decision.threshold))
    await bench.look(1)
    return bench


def asked_about(calls: Sequence[Invocation], model: str = SUCCESSOR, agreed: float = 1.0) -> list[Invocation]:
    """The answers of a successor that agrees with the student on a part of the calls."""
    answers = []
    for call in calls:
        assert call.response is not None
        agrees = position(call.id, "successor") < agreed
        response = call.response if agrees else Response(message=text_answer("another answer", 1).message)
        fields = {"id": f"succession-{call.id}", "origin": "succession", "audits": call.id, "model": model}
        route = Route(reason="audit", audit_probability=0.1)
        answers.append(call.model_copy(update={**fields, "response": response, "route": route}))
    return answers


def calls_of(first: int, n: int, day: float, days: float = 2) -> list[Invocation]:
    """Calls from some day after `TRAINED` on, as the teacher answered them."""
    return [
        call.model_copy(update={"at": call.at + day * DAY, "id": f"{call.id}-{day}"})
        for call in traffic(first, n, hours=24 * days, model=TEACHER)
    ]


def trial_of(bench: EvaluatorHarness) -> Trial:
    return bench.app.evaluation.trials[STUDENT]


async def test_a_student_that_is_proven_by_the_day_goes_on_without_a_gap(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    before = trial_of(bench).call_gate
    verdicts = events_of_type(Verdict, await bench.handle(*asked_about(calls_of(100, 600, 2))))
    assert {(verdict.phase, verdict.counts) for verdict in verdicts} == {("succession", False)}
    assert len(verdicts) == 600
    await bench.look(5)
    trial = trial_of(bench)
    assert trial.succession is not None
    assert trial.succession.is_proven
    assert trial.call_gate is before, "until the day, the teacher's answers are the measure"
    await bench.restart(bench.app.state())
    published = await bench.look(10)
    assert events_of_type(Drift, published) == []
    [decision] = events_of_type(GateDecision, published)
    assert (decision.decision, decision.evidence["held"]) == ("promote", None)
    trial = trial_of(bench)
    assert trial.changes.teachers == {SUCCESSOR}
    assert trial.changes.restriction is None
    assert trial.call_gate.tail_gate.calls == 600, "the calls that the successor answered, and no others"
    assert events_of_type(Drift, await bench.look(11)) == []
    later = await bench.handle(*[call.model_copy(update={"model": SUCCESSOR}) for call in calls_of(700, 50, 11)])
    assert events_of_type(Drift, later) == []


@pytest.mark.parametrize(("n", "agreed"), [(40, 1.0), (600, 0.8), (0, 1.0)])
async def test_a_student_that_is_not_proven_by_the_day_goes_back_to_the_canary_share(
    tmp_path: Path, n: int, agreed: float
) -> None:
    bench = await in_service(tmp_path)
    await bench.handle(*asked_about(calls_of(100, n, 2), agreed=agreed))
    await bench.look(5)
    [drift] = events_of_type(Drift, await bench.look(10))
    assert (drift.cause, drift.drifted) == ("teacher", False)
    trial = trial_of(bench)
    assert (trial.succession, trial.call_gate.collected, trial.call_gate.since) == (None, 0, TRAINED + 10 * DAY)


async def test_hours_without_a_judge_let_the_others_prove_nothing_against_the_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await in_service(tmp_path)

    async def judge_some(judge: Any, pairs: Sequence[Any], wait_s: float) -> list[Judgement | None]:
        return [AGREEMENT if is_morning else None for _ in pairs]

    monkeypatch.setattr("understudies.evaluator.evaluation.judge_pairs", judge_some)
    for call in asked_about(calls_of(100, 600, 2, days=4)):
        is_morning = (call.at - TRAINED) % DAY < DAY / 2
        await bench.handle(call)
    await bench.restart(bench.app.state())
    await bench.look(7)
    proof = trial_of(bench).succession
    assert proof is not None
    assert (proof.is_proven, proof.call_gate.tail_gate.n) == (False, 0)


async def test_answers_of_two_models_are_never_one_proof(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    mixed = [
        call
        for index, call in enumerate(calls_of(100, 600, 2))
        for call in asked_about([call], f"snapshot-{index * 2 // 600}")
    ]
    await bench.handle(*mixed)
    trial = trial_of(bench)
    assert trial.succession is not None
    assert trial.succession.model == "snapshot-1"
    assert trial.succession.call_gate.collected == 300
    assert trial.call_gate.tail_gate.calls <= 700


async def test_a_task_whose_traffic_moves_before_the_day_goes_on_too(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    await bench.handle(*asked_about(calls_of(100, 600, 2)))
    await bench.look(5)
    moved = await bench.handle(
        *[call.model_copy(update={"model": SUCCESSOR}) for call in calls_of(700, 20, 5.5, days=0.5)]
    )
    assert events_of_type(Drift, moved) == []
    assert trial_of(bench).changes.teachers == {SUCCESSOR}
    for day in (6, 10, 11):
        assert events_of_type(Drift, await bench.look(day)) == []


async def test_the_teacher_that_was_succeeded_is_another_teacher_once_it_answers_again(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    await bench.handle(*asked_about(calls_of(100, 600, 2)))
    await bench.look(5)
    await bench.look(10)
    late = await bench.handle(*calls_of(700, 20, 9, days=0.5))
    assert events_of_type(Drift, late) == [], "calls from before that are read late tell nothing"
    assert events_of_type(Verdict, late) == []
    [drift] = events_of_type(Drift, await bench.handle(*calls_of(700, 20, 10.5, days=0.5)))
    assert drift.cause == "teacher"


async def test_a_change_of_traffic_begins_the_proof_anew(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    await bench.handle(*asked_about(calls_of(100, 600, 2)))
    await bench.look(5)
    trial = trial_of(bench)
    assert trial.apply_restriction(trial.changes.on_coverage_shift(TRAINED + 6 * DAY))
    assert trial.succession is None
    # The proof against the teacher before is under way: it is not continued with another one.
    await bench.handle(*calls_of(100, 300, 6, days=1))
    assert trial.call_gate.collected
    await bench.handle(*[call.model_copy(update={"model": SUCCESSOR}) for call in calls_of(400, 3, 7.5, days=0.1)])
    assert trial.call_gate.since >= TRAINED + 7.5 * DAY


async def test_what_the_student_fails_with_the_successor_is_withheld_from_the_day_on(tmp_path: Path) -> None:
    bench = await in_service(tmp_path)
    label = right("\n".join(example.request.messages[-1].text for example in pool()[:1]))[0]
    answers = [
        call
        if call.response is None or call.response.message.text != label or index % 2
        else call.model_copy(update={"response": Response(message=text_answer("renamed", 1).message)})
        for index, call in enumerate(asked_about(calls_of(100, 900, 2, days=3)))
    ]
    await bench.handle(*answers)
    trial = trial_of(bench)
    assert trial.succession is not None
    assert not trial.withholding.compute_withheld(0.5).answers
    assert trial.succession.withholding.compute_withheld(0.5).answers


async def test_the_log_names_the_rule_and_says_how_far_the_proof_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        bench = await in_service(tmp_path, successors={})
        await bench.look(2)
        await bench.look(8)
    assert [record.message.count(f'successors = {{"{TEACHER}" = "MODEL"}}') for record in caplog.records] == [1, 1]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        bench = await in_service(tmp_path)
        await bench.handle(*asked_about(calls_of(100, 600, 2)))
        await bench.look(5)
        await bench.look(8)
    first, second = (record.message for record in caplog.records)
    assert f"{SUCCESSOR} is asked about 10% of its calls" in first
    assert f"is proven against {SUCCESSOR}" in second
