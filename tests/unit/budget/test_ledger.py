import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget_harness import teacher_call

from understudies.budget.ledger import Ledger
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, call_cost
from understudies.events import Invocation, Usage, usd

amounts = st.decimals("0.000000001", 1000, places=9).map(usd)
some_calls = st.one_of(
    st.builds(lambda cost: teacher_call(cost=str(cost)), amounts),
    st.builds(
        lambda cost: teacher_call(cost=str(cost), served_by="student", student="triage@1", reason="promoted"), amounts
    ),
    st.builds(lambda cost: teacher_call(cost=str(cost), origin="audit", reason="audit"), amounts),
    st.builds(lambda cost: teacher_call(cost=str(cost), origin="synthetic"), amounts),
    st.builds(lambda cost: teacher_call(cost=str(cost), origin="succession", reason="audit"), amounts),
    st.builds(
        lambda cost, part: teacher_call(cost=str(cost + part), student_cost=str(part), reason="low_confidence"),
        amounts,
        amounts,
    ),
)


def booked(*invocations: Invocation) -> Ledger:
    ledger = Ledger()
    for invocation in invocations:
        ledger.record(invocation)
    return ledger


def test_a_call_of_the_teacher() -> None:
    ledger = booked(teacher_call(cost="0.01"), teacher_call(cost="0.02"))
    assert (ledger.calls, ledger.teacher_calls, ledger.served) == (2, 2, 0)
    assert [ledger.total_cost, ledger.cost_without_students, ledger.savings] == [
        Decimal("0.03"),
        Decimal("0.03"),
        Decimal(0),
    ]
    assert ledger.teacher_price == Decimal("0.015")


def test_a_served_call_avoids_the_price_of_the_teacher_so_far() -> None:
    student = teacher_call(cost="0.0002", served_by="student", student="triage@1", reason="promoted")
    ledger = booked(teacher_call(cost="0.01"), student, teacher_call(cost="0.03"), student)
    assert ledger.avoided == Decimal("0.01") + Decimal("0.02")
    assert ledger.students == Decimal("0.0004")
    assert ledger.savings == Decimal("0.0296")


def test_an_escalated_call_is_paid_twice() -> None:
    ledger = booked(teacher_call(cost="0.0102", student_cost="0.0002", reason="low_confidence"))
    assert (ledger.teacher, ledger.students, ledger.escalated) == (Decimal("0.01"), Decimal("0.0002"), 1)
    assert ledger.teacher_price == Decimal("0.01")
    assert ledger.savings == Decimal("-0.0002")


def test_an_audit_is_a_cost_and_no_call() -> None:
    ledger = booked(teacher_call(cost="0.01", origin="audit", audits="x", reason="audit"))
    assert (ledger.calls, ledger.audits, ledger.audit) == (0, 1, Decimal("0.01"))
    assert ledger.teacher_price is None
    assert ledger.savings == Decimal("-0.01")


def test_asking_a_successor_is_a_cost_like_an_audit_and_no_call() -> None:
    ledger = booked(teacher_call(cost="0.01", origin="succession", audits="x", reason="audit"))
    assert (ledger.calls, ledger.audits, ledger.audit, ledger.invested) == (0, 0, Decimal("0.01"), Decimal("0.01"))
    assert ledger.teacher_price is None


def test_synthetic_examples_are_a_cost_of_training() -> None:
    ledger = booked(teacher_call(cost="0.01", origin="synthetic"))
    assert (ledger.calls, ledger.training, ledger.cost_without_students) == (0, Decimal("0.01"), Decimal(0))


def test_a_failed_call_has_no_price() -> None:
    ledger = booked(
        teacher_call(cost="0.0002", student_cost="0.0002", reason="student_error", response=None, error="down")
    )
    assert (ledger.calls, ledger.teacher_calls, ledger.teacher, ledger.students) == (
        1,
        0,
        Decimal(0),
        Decimal("0.0002"),
    )


def test_an_answer_that_came_without_a_price_costs_what_model_and_usage_say() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=5)
    known = call_cost("gpt-4o", usage)
    ledger = booked(teacher_call(cost="0", model="gpt-4o", usage=usage))
    assert ledger.teacher_price == known != 0
    assert ledger.total_cost == ledger.cost_without_students == known


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "ours", "usage": Usage(prompt_tokens=9)},
        {"model": "gpt-4o"},
        {"model": "gpt-4o", "usage": Usage(prompt_tokens=10**30)},
    ],
)
def test_without_a_known_model_or_its_usage_an_answer_costs_three_cents(fields: dict[str, Any]) -> None:
    assert booked(teacher_call(cost="0", **fields)).teacher_price == DEFAULT_TEACHER_CALL_USD


@pytest.mark.parametrize("fields", [{"free": True}, {"reason": "no_student"}])
def test_a_teacher_that_is_free_costs_nothing(fields: dict[str, Any]) -> None:
    ledger = booked(teacher_call(cost="0", model="gpt-4o", usage=Usage(prompt_tokens=1000), **fields))
    assert (ledger.teacher_calls, ledger.teacher_price) == (1, Decimal(0))


@pytest.mark.parametrize("fields", [{"served_by": "cache"}, {"response": None, "error": "down"}])
def test_what_no_teacher_answered_is_not_priced(fields: dict[str, Any]) -> None:
    assert booked(teacher_call(cost="0", **fields)).total_cost == 0


def test_sums_stay_exact_where_floats_do_not() -> None:
    ledger = booked(*[teacher_call(cost="0.000000001")] * 3, teacher_call(cost="1000000"))
    assert ledger.total_cost == Decimal("1000000.000000003")


@given(st.lists(some_calls, max_size=20))
def test_every_cent_is_booked_once(invocations: list[Invocation]) -> None:
    ledger = booked(*invocations)
    assert ledger.total_cost == sum((invocation.cost_usd for invocation in invocations), Decimal(0))
    assert ledger.savings == ledger.cost_without_students - ledger.total_cost


@given(st.lists(some_calls, max_size=10), st.lists(some_calls, max_size=5))
def test_a_restored_ledger_goes_on_to_the_same_cent(before: list[Invocation], later: list[Invocation]) -> None:
    ledger = booked(*before)
    restored = Ledger.from_state(json.loads(json.dumps(ledger.state())))
    for invocation in later:
        ledger.record(invocation)
        restored.record(invocation)
    assert restored == ledger


def test_imported_calls_tell_the_price_and_nothing_else_until_enough_have_come_since() -> None:
    imported = [teacher_call(cost="0.04", origin="imported") for _ in range(3)]
    ledger = booked(*imported)
    assert (ledger.calls, ledger.imported_calls, ledger.teacher_price) == (0, 3, usd("0.04"))
    assert [ledger.total_cost, ledger.savings] == [usd(0), usd(0)]
    ledger = booked(*imported, teacher_call(cost="0.08"))
    assert (ledger.calls, ledger.teacher_price, ledger.total_cost) == (1, usd("0.05"), usd("0.08"))
    ledger = booked(*imported, *(teacher_call(cost="0.01") for _ in range(100)))
    assert ledger.teacher_price == usd("0.01")


def test_a_ledger_from_before_imports_is_read() -> None:
    ledger = booked(teacher_call(cost="0.01"))
    old = {name: value for name, value in ledger.state().items() if not name.startswith("imported")}
    assert Ledger.from_state(old) == ledger
