"""Which decisions a task's state allows, and whom they are about."""

from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.budget_harness import (
    TASK,
    BudgetHarness,
    at_hour,
    change_event,
    gate_decision,
    student_name,
    teacher_calls,
)
from tests.unit.budget.test_steering import MANUAL, decision

from understudies.events import SteeringAction
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.status.decision import DecisionRefused, DecisionRequest
from understudies.status.decision_check import awaits_approval, check_decision, decisions_in_force


def check(house: BudgetHarness, action: SteeringAction, student: str | None = None) -> str | None:
    request = DecisionRequest(task=TASK, action=action, by="ada", why="because", student=student)
    return check_decision(house.app.task_state(TASK), house.rules.for_task(TASK), request)


def refusal(house: BudgetHarness, action: SteeringAction, student: str | None = None) -> str:
    with pytest.raises(DecisionRefused) as caught:
        check(house, action, student)
    return str(caught.value)


@pytest.mark.parametrize("fields", [{"by": " "}, {"why": ""}, {"task": "a/b"}, {"action": "promote"}, {"other": 1}])
def test_a_decision_needs_who_and_why(fields: dict[str, Any]) -> None:
    known = {"task": TASK, "action": "pause", "by": "ada", "why": "because", **fields}
    with pytest.raises(ValidationError):
        DecisionRequest.model_validate(known)


async def test_what_holds_already_or_not_yet_is_refused() -> None:
    house = BudgetHarness()
    await house.handle(*teacher_calls(10))
    assert refusal(house, "resume") == "'triage' is not paused"
    assert refusal(house, "unpin") == "no student of 'triage' is pinned"
    assert refusal(house, "unmark_critical") == "nobody marked 'triage' critical"
    assert refusal(house, "approve") == "no student of 'triage' is qualified"
    assert refusal(house, "demote", "triage@9") == "'triage' has no student 'triage@9'"
    assert [check(house, action) for action in ("pause", "mark_critical", "retrain")] == [None] * 3
    await house.handle(decision("mark_critical", 1))
    assert refusal(house, "retrain") == "'triage' is critical, so no student is trained for it"
    assert check(house, "unmark_critical") is None


async def test_what_the_rules_keep_critical_is_changed_there() -> None:
    house = BudgetHarness(Rules(defaults=TaskRules(critical=True)))
    await house.handle(*teacher_calls(10))
    assert refusal(house, "unmark_critical").endswith("the rules keep it critical: change them")


async def test_the_serving_student_is_meant_where_none_is_named() -> None:
    house = BudgetHarness()
    await house.start_successor_trial()
    assert [check(house, action) for action in ("demote", "pin", "retire")] == [student_name()] * 3
    assert check(house, "retire", student_name(2)) == student_name(2)
    assert refusal(house, "demote", student_name(2)) == "triage@2 is not in service: it is trained"
    await house.handle(decision("pin", 103, 1))
    assert refusal(house, "retrain") == "triage@1 is pinned, so it is not succeeded: unpin it before"
    assert check(house, "unpin") is None


async def test_a_qualified_student_is_approved_once_and_no_other() -> None:
    house = BudgetHarness(MANUAL)
    await house.start_trial()
    assert refusal(house, "approve", student_name()) == "triage@1 is not qualified: it is trained"
    await house.handle(gate_decision(hour=26))
    await house.tick(26)
    waiting = awaits_approval(house.app.task_state(TASK), house.rules.for_task(TASK))
    assert waiting is not None
    assert check(house, "approve") == waiting.name == student_name()
    task = house.app.task_state(TASK)
    task.fold(change_event(hour=26, cause="teacher"))
    assert awaits_approval(task, house.rules.for_task(TASK)) is None, "it is to be proven anew first"
    task.students[student_name()].lift_restriction()
    await house.handle(decision("approve", 27, 1))
    assert awaits_approval(house.app.task_state(TASK), house.rules.for_task(TASK)) is None


async def test_what_is_in_force_is_told_with_who_when_and_why() -> None:
    house = BudgetHarness()
    await house.handle(*teacher_calls(10), decision("pause", 1), decision("pin", 2, 1), decision("retrain", 3))
    told = [str(one) for one in decisions_in_force(house.app.task_state(TASK), at_hour(4))]
    assert told == [
        "paused by ada at 2026-01-05 01:00 UTC: it was wrong",
        "pinned triage@1 by ada at 2026-01-05 02:00 UTC: it was wrong",
        "retraining asked for by ada at 2026-01-05 03:00 UTC: it was wrong",
    ]
