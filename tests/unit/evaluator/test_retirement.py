"""A teacher that is retired: its students are named before, and proven anew from that day on."""

import logging
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.support.datasets import TASK
from tests.support.trials import TRAINED, EvaluatorHarness, ScriptedStudent, dataset, events_of_type, traffic

from understudies.datasets.object_store import ObjectStore
from understudies.events import Drift
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.teacher import TeacherSpec

STUDENT = f"{TASK}@1"
[TEACHER] = {example.teacher for example in dataset().examples}


def rules(on: date | None) -> Rules:
    spec = {"base_url": "http://localhost/v1", "retires": {TEACHER: on or "never"}}
    return Rules(teachers={"own": TeacherSpec.model_validate(spec)})


async def in_service(tmp_path: Path, on: date | None) -> EvaluatorHarness:
    bench = EvaluatorHarness(ObjectStore(f"file://{tmp_path}"), ScriptedStudent(), rules=rules(on))
    await bench.handle(bench.promotion("trained"))
    await bench.handle(*traffic(0, 100, hours=1, model=TEACHER))
    loosest = bench.app.evaluation.trials[STUDENT].selective_gate.thresholds[-1]
    await bench.handle(bench.promotion("promoted", share=1.0, threshold=loosest.confidence))
    return bench


async def test_the_student_goes_back_to_the_canary_share_on_that_day_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = await in_service(tmp_path, (TRAINED + timedelta(days=10)).date())
    with caplog.at_level(logging.WARNING):
        assert events_of_type(Drift, await bench.look(3)) == []
        assert events_of_type(Drift, await bench.look(4)) == []
    named = [record.message for record in caplog.records if "answers for the last time" in record.message]
    assert len(named) == 1
    assert f"student {STUDENT} learned from it and has to be proven anew" in named[0]
    [drift] = events_of_type(Drift, await bench.look(10))
    assert (drift.student, drift.tier, drift.cause, drift.drifted) == (STUDENT, "warn", "teacher", False)
    trial = bench.app.evaluation.trials[STUDENT]
    assert trial.call_gate.since == TRAINED + timedelta(days=10), "calls from then on prove it"
    assert trial.changes.restriction is not None
    state = bench.app.state()
    await bench.restart(state)
    assert events_of_type(Drift, await bench.look(11)) == []


@pytest.mark.parametrize("on", [None, TRAINED.date() - timedelta(days=1), TRAINED.date() + timedelta(days=400)])
async def test_a_date_that_is_past_or_far_away_changes_nothing(
    tmp_path: Path, on: date | None, caplog: pytest.LogCaptureFixture
) -> None:
    bench = await in_service(tmp_path, on)
    with caplog.at_level(logging.WARNING):
        assert events_of_type(Drift, await bench.look(10)) == []
    assert "answers for the last time" not in caplog.text
