"""A student that costs as much as it saves does not serve."""

from decimal import Decimal
from typing import Any

import pytest
from tests.support.budget_harness import (
    TASK,
    BudgetHarness,
    gate_decision,
    promotion_stage,
    shadow_verdict,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)


@pytest.fixture
def office() -> BudgetHarness:
    return BudgetHarness()


def answers(number: int, hour: float, cost: str, version: int = 1) -> list[Any]:
    """So many calls that a student served."""
    served = {"served_by": "student", "student": student_name(version), "reason": "promoted"}
    return [teacher_call(number, hour, cost=cost, student_cost=cost, **served) for _ in range(number)]


async def test_a_student_dearer_than_its_teacher_is_rejected_once_its_price_is_known(office: BudgetHarness) -> None:
    await office.authorise_first()
    await office.handle(promotion_stage("collected", hour=1.5), trained_promotion(hour=2, price="0.05"))
    [move] = await office.tick(2)
    assert (move.stage, move.reason) == (
        "rejected",
        "The student costs $0.05 a call, no less than the teacher's $0.01.",
    )
    assert (move.evidence["student_cost_usd"], move.evidence["teacher_cost_usd"]) == ("0.05", "0.01")


async def test_a_student_whose_return_is_not_there_at_its_own_price_is_rejected(office: BudgetHarness) -> None:
    await office.authorise_first()
    await office.handle(promotion_stage("collected", hour=1.5), trained_promotion(hour=2, price="0.0045"))
    [move] = await office.tick(2)
    assert move.stage == "rejected"
    assert "does not pay back" in move.reason
    numbers: dict[str, Any] = dict(move.evidence)
    assert numbers["break_even_calls"] > numbers["weekly_calls_lower"]


async def test_a_student_of_a_price_that_pays_goes_its_way_and_keeps_the_price(office: BudgetHarness) -> None:
    await office.promote_first(price="0.0010")
    student = office.app.task_state(TASK).serving
    assert student is not None
    assert student.promotion.share == 1.0
    assert student.promotion.evidence["cost_per_call_usd"] == "0.001"


async def test_a_student_that_is_proven_on_too_few_calls_to_save_anything_is_rejected(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(gate_decision(hour=26, coverage=0.02))
    [move] = await office.tick(26)
    assert move.stage == "rejected"
    assert "Serving 2% of calls" in move.reason
    assert move.evidence["curve"]


async def test_a_student_in_service_is_retired_when_its_answers_cost_what_the_teachers_do(
    office: BudgetHarness,
) -> None:
    await office.promote_first(price="0.001")
    await office.handle(*answers(29, 100, "0.02"))
    assert await office.tick_stages(101) == []
    await office.handle(*answers(1, 101, "0.02"))
    [move] = await office.tick(102)
    assert (move.student, move.stage, move.share) == (student_name(), "retired", 0.0)
    assert move.reason == "The student costs $0.02 a call, no less than the teacher's $0.01."
    assert move.evidence["student_cost_usd"] == "0.02"


async def test_answers_that_were_passed_on_count_too(office: BudgetHarness) -> None:
    await office.promote_first()
    passed_on = {"student": student_name(), "reason": "low_confidence"}
    await office.handle(*(teacher_call(n, 100, cost="0.03", student_cost="0.02", **passed_on) for n in range(30)))
    assert await office.tick_stages(101) == [(student_name(), "retired")]


async def test_a_dearer_successor_takes_over_only_where_it_saves_more(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(*teacher_calls(100, 100, first=100), *(teacher_call(0, 101) for _ in range(2000)))
    assert await office.tick_stages(102) == [(student_name(2), "authorised")]
    await office.handle(promotion_stage("collected", 2, 102), trained_promotion(2, 103, price="0.0006"))
    await office.tick_stages(103)
    await office.handle(gate_decision(version=2, hour=128, coverage=0.62))
    more_audits = (student_name(), "promoted")
    assert await office.tick_stages(128) == [(student_name(2), "qualified"), more_audits]
    await office.handle(gate_decision(version=2, hour=152, coverage=0.7))
    assert await office.tick_stages(152) == [(student_name(), "retired"), (student_name(2), "promoted")]


async def test_answers_in_shadow_are_booked_at_the_students_own_price(office: BudgetHarness) -> None:
    await office.start_trial(price="0.0010")
    await office.handle(
        *(shadow_verdict(hour=3) for _ in range(10)), *(shadow_verdict(hour=3, version=9) for _ in range(10))
    )
    assert office.app.task_state(TASK).ledger.compared == Decimal("0.0120")


async def test_prices_survive_a_restart(office: BudgetHarness) -> None:
    await office.promote_first(price="0.001")
    await office.handle(*answers(20, 100, "0.02"))
    await office.restart(office.app.state())
    await office.handle(*answers(10, 101, "0.02"))
    assert await office.tick_stages(102) == [(student_name(), "retired")]


async def test_a_snapshot_from_before_prices_were_kept_is_read(office: BudgetHarness) -> None:
    await office.promote_first()
    state = office.app.state()
    for student in state["books"][0]["students"]:
        for field in ("validated_cost", "asked", "paid"):
            del student[field]
    await office.restart(state)
    assert await office.tick_stages(101) == []
