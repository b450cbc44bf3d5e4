"""What people decide moves students on or stops them, and never past a gate."""

from typing import Any

import pytest
from tests.support.budget_harness import (
    SETTINGS,
    TASK,
    BudgetHarness,
    at_hour,
    audit_verdict,
    change_event,
    drift_event,
    gate_decision,
    promotion_stage,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)

from understudies.budget.settings import BudgetSettings
from understudies.events import Promotion, Steering, SteeringAction, steer
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules

MANUAL = Rules(defaults=TaskRules(promotion="manual"))


def decision(action: SteeringAction, hour: float, version: int | None = None) -> Promotion:
    student = None if version is None else student_name(version)
    steering = Steering(action=action, by="ada", student=student)
    return steer(TASK, steering, "it was wrong", at=at_hour(hour), event_id=f"{action}-{hour}-{version}")


async def reload(office: BudgetHarness) -> None:
    await office.restart(office.app.state())


# Pause and critical


async def test_a_paused_task_promotes_nobody_until_it_is_resumed() -> None:
    office = BudgetHarness()
    await office.start_trial()
    await office.handle(decision("pause", 25), gate_decision(hour=26))
    assert await office.tick_stages(26) == [(student_name(), "qualified")]
    await reload(office)
    assert await office.tick_stages(30) == []
    await office.handle(decision("resume", 31))
    assert await office.tick_stages(31) == [(student_name(), "promoted")]


async def test_a_share_does_not_grow_while_paused() -> None:
    office = BudgetHarness()
    await office.promote_first(share=0.05)
    await office.handle(decision("pause", 27), *(audit_verdict(hour=28) for _ in range(10)))
    assert await office.tick_stages(60) == []
    await office.handle(decision("resume", 61))
    assert [move.share for move in await office.tick(61)] == [0.25]


async def test_drift_demotes_a_paused_student() -> None:
    office = BudgetHarness()
    await office.promote_first()
    await office.handle(decision("pause", 99), drift_event(hour=100))
    assert await office.tick_stages(100) == [(student_name(), "demoted")]


async def test_a_critical_task_gets_no_student() -> None:
    office = BudgetHarness()
    await office.handle(decision("mark_critical", 0), *teacher_calls(100))
    assert await office.tick_stages(1) == []
    assert office.app.appraisal(TASK, at_hour(1)).reason.startswith("declared critical")
    await office.handle(decision("unmark_critical", 2))
    assert await office.tick_stages(2) == [(student_name(), "authorised")]


# Demote and retire


@pytest.mark.parametrize(("action", "examples"), [("demote", 0), ("retire", 100)])
async def test_a_student_is_put_out_of_service_with_who_and_why(action: Any, examples: int) -> None:
    office = BudgetHarness()
    await office.promote_first()
    await office.handle(decision(action, 99, 1))
    [move] = await office.tick(99)
    assert (move.stage, move.share, move.reason) == (f"{action}d", 0.0, "by ada: it was wrong")
    assert office.app.task_state(TASK).examples == examples
    assert await office.tick(100) == []


async def test_a_demotion_takes_the_trials_with_it_that_learned_from_the_same_answers() -> None:
    office = BudgetHarness()
    hour = await office.start_successor_trial()
    await office.handle(decision("demote", hour, 1))
    assert await office.tick_stages(hour) == [(student_name(), "demoted"), (student_name(2), "retired")]


async def test_a_student_on_trial_can_be_retired() -> None:
    office = BudgetHarness()
    await office.start_trial()
    await office.handle(gate_decision(hour=26), decision("retire", 26, 1))
    assert await office.tick_stages(26) == [(student_name(), "retired")]


# Pin


async def test_a_pinned_student_is_not_succeeded_until_it_is_unpinned() -> None:
    office = BudgetHarness()
    hour = await office.start_successor_trial()
    await office.handle(decision("pin", hour, 1), gate_decision(version=2, hour=hour, coverage=0.9))
    assert (student_name(2), "qualified") in await office.tick_stages(hour)
    await reload(office)
    assert (student_name(), "retired") not in await office.tick_stages(hour + 1)
    await office.handle(decision("unpin", hour + 2))
    moves = await office.tick_stages(hour + 2)
    assert moves == [(student_name(), "retired"), (student_name(2), "promoted")]


async def test_no_successor_is_asked_for_while_pinned() -> None:
    office = BudgetHarness()
    await office.promote_first()
    await office.handle(decision("pin", 99, 1), decision("retrain", 99))
    await office.handle(*teacher_calls(100, 100, first=100), *(teacher_call(0, 101) for _ in range(2000)))
    assert await office.tick_stages(102) == []
    assert office.app.appraisal(TASK, at_hour(102)).reason == f"{student_name()} is pinned: it is not to be succeeded"


# Approve


async def test_by_manual_promotion_a_proven_student_waits_for_its_approval() -> None:
    office = BudgetHarness(MANUAL)
    await office.start_trial()
    await office.handle(gate_decision(hour=26))
    assert await office.tick_stages(26) == [(student_name(), "qualified")]
    await office.handle(*teacher_calls(300, 27, first=100), decision("approve", 28, 2))
    assert await office.tick_stages(28) == [], "another student was approved"
    await office.handle(decision("approve", 29, 1))
    await reload(office)
    move, *_ = await office.tick(29)
    assert (move.student, move.stage, move.share) == (student_name(), "promoted", 0.05)
    assert move.reason.endswith("approved by ada: it was wrong")


@pytest.mark.parametrize("outcome", ["reject", "inconclusive"])
async def test_an_approval_is_no_way_around_the_gates(outcome: str) -> None:
    office = BudgetHarness(MANUAL)
    await office.start_trial()
    await office.handle(decision("approve", 25, 1))
    assert await office.tick_stages(25) == []
    await office.handle(gate_decision(outcome, hour=26))
    assert await office.tick_stages(26) == [(student_name(), "rejected")]


async def test_a_student_that_waits_for_approval_is_rejected_when_the_gates_change_their_mind() -> None:
    office = BudgetHarness(MANUAL)
    await office.start_trial()
    await office.handle(gate_decision(hour=26))
    await office.tick(26)
    await office.handle(gate_decision("reject", hour=50), decision("approve", 50, 1))
    assert await office.tick_stages(50) == [(student_name(), "rejected")]


async def test_an_approval_waits_for_a_new_proof_after_a_change() -> None:
    office = BudgetHarness(MANUAL)
    await office.start_trial()
    await office.handle(gate_decision(hour=26))
    await office.tick(26)
    await office.handle(change_event(hour=50, cause="teacher"), decision("approve", 51, 1))
    await reload(office)
    assert await office.tick_stages(51) == []
    await office.handle(gate_decision(hour=90))
    assert await office.tick_stages(90) == [(student_name(), "promoted")]


# Retrain


async def test_a_retraining_waits_for_neither_examples_nor_rest() -> None:
    office = BudgetHarness(settings=BudgetSettings(**{**SETTINGS.model_dump(), "rest_hours": 1000}))
    await office.start_trial()
    await office.handle(gate_decision("reject", hour=26))
    assert await office.tick_stages(26) == [(student_name(), "rejected")]
    assert await office.tick_stages(27) == []
    await office.handle(*teacher_calls(100, 27), decision("retrain", 28))
    [move] = await office.tick(28)
    assert (move.student, move.stage) == (student_name(2), "authorised")
    assert move.reason.startswith("asked for by ada: it was wrong; ")
    await office.handle(
        promotion_stage("collected", 2, 28), trained_promotion(2, 29), gate_decision("reject", version=2)
    )
    await reload(office)
    assert await office.tick_stages(30) == [(student_name(2), "rejected")]
    assert await office.tick_stages(31) == [], "it was met"


async def test_a_retraining_supersedes_the_student_in_progress_once() -> None:
    office = BudgetHarness()
    await office.start_trial()
    await office.handle(decision("retrain", 3), decision("retrain", 3))
    assert await office.tick_stages(3) == [(student_name(), "retired"), (student_name(2), "authorised")]
    assert await office.tick_stages(4) == []


async def test_a_retraining_is_no_way_around_the_first_examples() -> None:
    office = BudgetHarness()
    await office.handle(*teacher_calls(59), decision("retrain", 0))
    assert await office.tick_stages(1) == []
    await office.handle(teacher_call(59, 1))
    assert await office.tick_stages(2) == [(student_name(), "authorised")]


async def test_a_decision_from_a_clock_that_is_ahead_waits_for_its_time() -> None:
    office = BudgetHarness()
    await office.start_trial()
    await office.handle(decision("retrain", 50))
    assert await office.tick_stages(3) == []
    await office.handle(*teacher_calls(100, 49))
    assert await office.tick_stages(50) == [(student_name(), "retired"), (student_name(2), "authorised")]
    assert await office.tick_stages(51) == []


async def test_decisions_are_folded_in_any_order_and_repeatedly() -> None:
    office = BudgetHarness()
    events = [decision("pause", 1), decision("resume", 2), decision("pin", 3, 1), decision("demote", 4, 1)]
    await office.handle(*events)
    known = office.app.task_state(TASK).steering
    other = BudgetHarness()
    await other.handle(*reversed(events))
    await other.handle(*events)
    assert other.app.task_state(TASK).steering == known
    assert other.app.task_state(TASK).students == {}
