"""Who serves a call."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import position
from understudies.router import Decision, TaskRoute, decide, drawn, settle
from understudies.router.decision import barred

ROUTE = TaskRoute("triage@1", "memory://a", threshold=0.8, share=1.0)
shares = st.floats(0, 1)
keys = st.text(st.characters(codec="utf-8"), min_size=1)
routes = st.builds(TaskRoute, st.just("triage@1"), st.just("memory://a"), shares, shares, st.booleans(), shares)


def reason(route: TaskRoute | None, key: str = "key", **facts: Any) -> str:
    return decide(route, task="triage", sticky_key=key, **facts).reason


@given(st.none() | routes, keys, st.booleans(), st.booleans())
def test_a_critical_call_never_reaches_a_student(route: TaskRoute | None, key: str, fit: bool, able: bool) -> None:
    assert reason(route, key, critical=True, student_allowed=fit, student_able=able) == "critical"


@given(st.none() | routes, keys, st.booleans(), st.booleans(), st.booleans())
def test_a_student_is_asked_where_nothing_at_all_speaks_against_it(
    route: TaskRoute | None, key: str, critical: bool, able: bool, fit: bool
) -> None:
    decision = decide(route, task="triage", sticky_key=key, critical=critical, student_able=able, student_allowed=fit)
    asked = route is not None and not route.drifted and position(key, salt="canary:triage") < route.share
    assert decision.by_student is (asked and able and fit and not critical)


@given(routes, keys)
def test_a_drifted_student_is_never_asked(route: TaskRoute, key: str) -> None:
    assert reason(replace(route, drifted=True), key) == "drift"


@given(keys)
def test_a_share_of_nothing_asks_no_student_and_a_share_of_all_always_does(key: str) -> None:
    assert reason(replace(ROUTE, share=0.0), key) == "control"
    assert reason(replace(ROUTE, share=1.0), key) == "promoted"


@given(keys, shares, shares)
def test_a_call_let_in_stays_in_as_the_share_grows(key: str, one: float, other: float) -> None:
    few, many = sorted((one, other))
    if reason(replace(ROUTE, share=few), key) == "promoted":
        assert reason(replace(ROUTE, share=many), key) == "promoted"


@given(keys, shares)
def test_the_same_key_always_goes_the_same_way(key: str, share: float) -> None:
    route = replace(ROUTE, share=share)
    inside = position(key, salt="canary:triage") < share
    assert {reason(route, key) for _ in range(3)} == {"promoted" if inside else "control"}


def test_the_canary_lets_in_its_share_of_the_calls() -> None:
    route = replace(ROUTE, share=0.25)
    asked = sum(reason(route, f"call {number}") == "promoted" for number in range(4000))
    assert 900 < asked < 1100


def test_tasks_draw_their_canaries_independently() -> None:
    route = replace(ROUTE, share=0.5)
    keys_ = [f"call {number}" for number in range(1000)]
    same = sum(
        decide(route, task="a", sticky_key=key).by_student == decide(route, task="b", sticky_key=key).by_student
        for key in keys_
    )
    assert 430 < same < 570


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"student_able": False}, "unsuitable"),
        ({"student_allowed": False}, "not_allowed"),
        ({"critical": True, "student_able": False}, "critical"),
    ],
)
def test_what_keeps_a_call_from_the_student(facts: dict[str, Any], expected: str) -> None:
    assert reason(ROUTE, **facts) == expected


def test_without_a_promotion_there_is_no_student() -> None:
    assert reason(None) == "no_student"


def test_what_no_student_can_give_is_told_apart_before_there_is_one() -> None:
    assert reason(None, student_able=False) == "unsuitable"


@given(routes, st.floats(0, 1))
def test_below_the_threshold_no_student_serves(route: TaskRoute, confidence: float) -> None:
    settled = settle(Decision("promoted", route), confidence)
    assert settled.by_student == (confidence >= route.threshold)
    assert settled.reason in ("promoted", "low_confidence")


@pytest.mark.parametrize("confidence", [None, float("nan"), float("inf"), -0.1, 1.1])
def test_a_failure_or_an_impossible_confidence_is_an_error_of_the_student(confidence: float | None) -> None:
    assert settle(Decision("promoted", ROUTE), confidence).reason == "student_error"


@pytest.mark.parametrize("decision", [Decision("control", ROUTE), Decision("no_student")])
def test_nothing_is_settled_where_no_student_was_to_be_asked(decision: Decision) -> None:
    with pytest.raises(ValueError, match="no student was to be asked"):
        settle(decision, 1.0)


@given(st.floats(0, 1, exclude_max=True), shares, shares)
def test_the_audit_draw_is_monotone_and_exact_at_its_ends(draw: float, one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert drawn(draw, 1.0)
    assert not drawn(draw, 0.0)
    assert drawn(draw, many) or not drawn(draw, few)


def test_the_decision_is_recorded_with_what_was_in_force() -> None:
    route = Decision("promoted", ROUTE).recorded(audit_probability=0.3, student_cost=Decimal("0.0002"))
    assert (route.reason, route.threshold, route.share) == ("promoted", 0.8, 1.0)
    assert (route.audit_probability, route.student_cost_usd) == (0.3, Decimal("0.0002"))
    assert Decision("no_student").recorded().threshold is None


@given(st.none() | routes, keys, st.booleans(), st.booleans())
def test_no_student_is_asked_behind_an_open_circuit_or_without_a_budget(
    route: TaskRoute | None, key: str, circuit_open: bool, over_budget: bool
) -> None:
    before = decide(route, task="triage", sticky_key=key)
    after = barred(before, circuit_open=circuit_open, over_budget=over_budget)
    assert after.by_student is (before.by_student and not circuit_open and not over_budget)
    assert after.route == before.route
    if over_budget:
        assert after.reason == "over_budget"
    elif not (circuit_open and before.by_student):
        assert after == before
