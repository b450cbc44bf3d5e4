"""A student that costs as much as it saves does not serve."""

from decimal import Decimal
from typing import Any

import pytest
from tests.support.books import TASK, Office, call, calls, decision, name, shadow, story, trained


@pytest.fixture
def office() -> Office:
    return Office()


def answers(number: int, hour: float, cost: str, version: int = 1) -> list[Any]:
    """So many calls that a student served."""
    served = {"served_by": "student", "student": name(version), "reason": "promoted"}
    return [call(number, hour, cost=cost, student_cost=cost, **served) for _ in range(number)]


async def test_a_student_dearer_than_its_teacher_is_rejected_once_its_price_is_known(office: Office) -> None:
    await office.authorised()
    await office.hear(story("collected", hour=1.5), trained(hour=2, price="0.05"))
    [move] = await office.tick(2)
    assert (move.stage, move.reason) == (
        "rejected",
        "The student costs $0.05 a call, no less than the teacher's $0.01.",
    )
    assert (move.evidence["student_cost_usd"], move.evidence["teacher_cost_usd"]) == ("0.05", "0.01")


async def test_a_student_whose_return_is_not_there_at_its_own_price_is_rejected(office: Office) -> None:
    await office.authorised()
    await office.hear(story("collected", hour=1.5), trained(hour=2, price="0.0045"))
    [move] = await office.tick(2)
    assert move.stage == "rejected"
    assert "does not pay back" in move.reason
    numbers: dict[str, Any] = dict(move.evidence)
    assert numbers["break_even_calls"] > numbers["weekly_calls_lower"]


async def test_a_student_of_a_price_that_pays_goes_its_way_and_keeps_the_price(office: Office) -> None:
    await office.in_force(price="0.0010")
    student = office.app.book(TASK).in_force
    assert student is not None
    assert student.story.share == 1.0
    assert student.story.evidence["cost_per_call_usd"] == "0.001"


async def test_a_student_that_is_proven_on_too_few_calls_to_save_anything_is_rejected(office: Office) -> None:
    await office.on_trial()
    await office.hear(decision(hour=26, coverage=0.02))
    [move] = await office.tick(26)
    assert move.stage == "rejected"
    assert "Serving 2% of calls" in move.reason
    assert move.evidence["curve"]


async def test_a_student_in_service_is_retired_when_its_answers_cost_what_the_teachers_do(office: Office) -> None:
    await office.in_force(price="0.001")
    await office.hear(*answers(29, 100, "0.02"))
    assert await office.moves(101) == []
    await office.hear(*answers(1, 101, "0.02"))
    [move] = await office.tick(102)
    assert (move.student, move.stage, move.share) == (name(), "retired", 0.0)
    assert move.reason == "The student costs $0.02 a call, no less than the teacher's $0.01."
    assert move.evidence["student_cost_usd"] == "0.02"


async def test_answers_that_were_passed_on_count_too(office: Office) -> None:
    await office.in_force()
    passed_on = {"student": name(), "reason": "low_confidence"}
    await office.hear(*(call(n, 100, cost="0.03", student_cost="0.02", **passed_on) for n in range(30)))
    assert await office.moves(101) == [(name(), "retired")]


async def test_a_dearer_successor_takes_over_only_where_it_saves_more(office: Office) -> None:
    await office.in_force()
    await office.hear(*calls(100, 100, first=100), *(call(0, 101) for _ in range(2000)))
    assert await office.moves(102) == [(name(2), "authorised")]
    await office.hear(story("collected", 2, 102), trained(2, 103, price="0.0006"))
    await office.moves(103)
    await office.hear(decision(version=2, hour=128, coverage=0.62))
    assert await office.moves(128) == [(name(2), "qualified")]
    await office.hear(decision(version=2, hour=152, coverage=0.7))
    assert await office.moves(152) == [(name(), "retired"), (name(2), "promoted")]


async def test_answers_in_shadow_are_booked_at_the_students_own_price(office: Office) -> None:
    await office.on_trial(price="0.0010")
    await office.hear(*(shadow(hour=3) for _ in range(10)), *(shadow(hour=3, version=9) for _ in range(10)))
    assert office.app.book(TASK).ledger.compared == Decimal("0.0120")


async def test_prices_survive_a_restart(office: Office) -> None:
    await office.in_force(price="0.001")
    await office.hear(*answers(20, 100, "0.02"))
    await office.restart(office.app.state())
    await office.hear(*answers(10, 101, "0.02"))
    assert await office.moves(102) == [(name(), "retired")]


async def test_a_snapshot_from_before_prices_were_kept_is_read(office: Office) -> None:
    await office.in_force()
    state = office.app.state()
    for student in state["books"][0]["students"]:
        for field in ("validated_cost", "asked", "paid"):
            del student[field]
    await office.restart(state)
    assert await office.moves(101) == []
