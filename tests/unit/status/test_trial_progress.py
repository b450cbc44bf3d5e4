"""How far the gates of a student on trial are."""

from pathlib import Path

import pytest
from tests.support.datasets import TASK
from tests.support.trials import TRAINED, EvaluatorHarness, ScriptedStudent, right, traffic, wrong

from understudies.datasets.object_store import ObjectStore
from understudies.stats.bounds import anytime_lower_bound
from understudies.status.trial_progress import measure_gate_agreement, measure_progress

STUDENT = f"{TASK}@1"


def wrong_on_some(text: str) -> tuple[str, float]:
    return wrong(text) if "7:" in text else right(text)


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"file://{tmp_path}")


async def test_evidence_is_that_of_the_threshold_tested_next(files: ObjectStore) -> None:
    house = EvaluatorHarness(files, ScriptedStudent())
    await house.handle(house.promotion("trained"))
    trial = house.app.evaluation.trials[STUDENT]
    assert trial.next_look_at is None
    held_out = measure_progress(trial)
    assert held_out is not None
    assert (held_out.calls, held_out.whole_days, held_out.call_evidence) == (0, 0, 1.0)
    await house.handle(*traffic(0, 60, hours=20))
    assert trial.next_look_at is not None
    assert (trial.next_look_at - TRAINED).days == 1
    await house.look(2)
    progress = measure_progress(trial)
    assert progress is not None
    assert progress.whole_days == 2
    assert progress.calls == 60
    assert progress.verdicts > 60
    assert 1 < progress.call_evidence < progress.evidence_needed


async def test_a_student_that_has_passed_everywhere_has_nothing_to_pass(files: ObjectStore) -> None:
    house = EvaluatorHarness(files, ScriptedStudent())
    await house.handle(house.promotion("trained"), *traffic(0, 600))
    await house.look(3)
    assert measure_progress(house.app.evaluation.trials[STUDENT]) is None


async def test_the_agreement_has_the_bound_of_the_gate(files: ObjectStore) -> None:
    house = EvaluatorHarness(files, ScriptedStudent(wrong_on_some))
    await house.handle(house.promotion("trained"), *traffic(0, 100))
    trial = house.app.evaluation.trials[STUDENT]
    before = measure_gate_agreement(trial)
    await house.look(3)
    found = measure_gate_agreement(trial)
    assert before is not None
    assert found is not None
    assert found.compared > before.compared
    assert 0 < found.agreed < found.compared
    assert found.lower == anytime_lower_bound(found.agreed, found.compared) < found.share
    assert found.basis.startswith("distinct inputs, the surest ")
