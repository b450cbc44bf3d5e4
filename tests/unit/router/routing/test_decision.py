"""Who serves a call."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import Reason, Withheld, position
from understudies.router.routing.decision import (
    Decision,
    TaskRoute,
    after_student,
    block,
    decide,
    is_sampled,
    revalidate,
)

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
    assert decision.is_for_student is (asked and able and fit and not critical)


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
        decide(route, task="a", sticky_key=key).is_for_student == decide(route, task="b", sticky_key=key).is_for_student
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
    settled = after_student(Decision("promoted", route), confidence)
    assert settled.is_for_student == (confidence >= route.threshold)
    assert settled.reason in ("promoted", "low_confidence")


@pytest.mark.parametrize("confidence", [None, float("nan"), float("inf"), -0.1, 1.1])
def test_a_failure_or_an_impossible_confidence_is_an_error_of_the_student(confidence: float | None) -> None:
    assert after_student(Decision("promoted", ROUTE), confidence).reason == "student_error"


@pytest.mark.parametrize("decision", [Decision("control", ROUTE), Decision("no_student")])
def test_nothing_is_settled_where_no_student_was_to_be_asked(decision: Decision) -> None:
    with pytest.raises(ValueError, match="the decision is not for a student"):
        after_student(decision, 1.0)


@given(st.floats(0, 1, exclude_max=True), shares, shares)
def test_the_audit_draw_is_monotone_and_exact_at_its_ends(draw: float, one: float, other: float) -> None:
    few, many = sorted((one, other))
    assert is_sampled(draw, 1.0)
    assert not is_sampled(draw, 0.0)
    assert is_sampled(draw, many) or not is_sampled(draw, few)


def test_the_decision_is_recorded_with_what_was_in_force() -> None:
    route = Decision("promoted", ROUTE).to_record(audit_probability=0.3, student_cost=Decimal("0.0002"))
    assert (route.reason, route.threshold, route.share) == ("promoted", 0.8, 1.0)
    assert (route.audit_probability, route.student_cost_usd) == (0.3, Decimal("0.0002"))
    assert Decision("no_student").to_record().threshold is None


@given(st.none() | routes, keys, st.booleans(), st.booleans())
def test_no_student_is_asked_behind_an_open_circuit_or_without_a_budget(
    route: TaskRoute | None, key: str, circuit_open: bool, over_budget: bool
) -> None:
    before = decide(route, task="triage", sticky_key=key)
    after = block(before, circuit_open=circuit_open, over_budget=over_budget)
    assert after.is_for_student is (before.is_for_student and not circuit_open and not over_budget)
    assert after.route == before.route
    if over_budget:
        assert after.reason == "over_budget"
    elif not (circuit_open and before.is_for_student):
        assert after == before


# The head: inputs that many calls have

HEAD = replace(ROUTE, head_threshold=0.6)


def settled(route: TaskRoute, confidence: float, **told: Any) -> str:
    return after_student(Decision("promoted", route), confidence, **told).reason


@given(st.floats(0, 1))
def test_an_unproven_head_stays_with_the_teacher_however_sure_the_student_is(confidence: float) -> None:
    assert settled(ROUTE, confidence, head="text:1") == "unproven"


@given(st.floats(0, 1))
def test_inputs_of_the_head_have_a_threshold_of_their_own(confidence: float) -> None:
    assert (settled(HEAD, confidence, head="text:1") == "promoted") is (confidence >= 0.6)
    assert (settled(HEAD, confidence) == "promoted") is (confidence >= 0.8)


@pytest.mark.parametrize(("route", "threshold"), [(HEAD, 0.6), (ROUTE, None)])
def test_the_threshold_on_the_event_is_the_one_that_counted(route: TaskRoute, threshold: float | None) -> None:
    of_head = after_student(Decision("promoted", route), 0.9, head="text:1").to_record()
    assert (of_head.threshold, of_head.head) == (threshold, True)
    other = after_student(Decision("promoted", route), 0.9).to_record()
    assert (other.threshold, other.head) == (0.8, False)


@pytest.mark.parametrize("told", ["unproven", "withheld", "unconfirmed", "low_confidence", "student_error"])
def test_who_was_asked_in_vain_is_on_the_event(told: Reason) -> None:
    assert Decision(told, ROUTE).student == "triage@1"
    assert Decision(told, ROUTE).is_for_student is False


def test_an_error_on_an_input_of_the_head_is_of_the_head() -> None:
    failed = after_student(Decision("promoted", HEAD), None, head="text:1")
    assert (failed.reason, failed.head) == ("student_error", True)


# What is withheld

WITHHOLDING = replace(
    HEAD, withheld=Withheld(answers={"label:a": 0.9, "label:b": 1.0}, inputs=("text:2",), groups=("tenant=acme",))
)


@given(st.floats(0, 1))
def test_an_answer_is_withheld_up_to_the_confidence_where_it_was_wrong(confidence: float) -> None:
    assert (settled(WITHHOLDING, confidence, answer="label:a") == "promoted") is (confidence > 0.9)
    assert settled(WITHHOLDING, confidence, answer="label:b") != "promoted"
    assert (settled(WITHHOLDING, confidence, answer="label:c") == "promoted") is (confidence >= 0.8)


def test_who_is_not_sure_at_all_is_told_first() -> None:
    assert settled(WITHHOLDING, 0.5, answer="label:a") == "low_confidence"
    assert settled(WITHHOLDING, 0.85, answer="label:a") == "withheld"


def test_an_input_of_the_head_is_withheld_by_its_name_and_not_by_its_answer() -> None:
    assert settled(WITHHOLDING, 1.0, head="text:2", answer="label:c") == "withheld"
    assert settled(WITHHOLDING, 0.85, head="text:1", answer="label:a") == "promoted"


def test_nothing_is_withheld_where_nothing_is_said() -> None:
    assert settled(HEAD, 0.8, answer="label:a") == "promoted"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (("tenant=acme", "day=weekday"), "withheld"),
        (("day=weekday", "tenant=acme"), "withheld"),
        (("tenant=other",), "promoted"),
        ((), "promoted"),
    ],
)
def test_calls_of_a_group_that_is_withheld_never_reach_the_student(groups: tuple[str, ...], expected: str) -> None:
    assert reason(WITHHOLDING, groups=groups) == expected


def test_a_group_is_withheld_whether_or_not_the_canary_lets_it_in() -> None:
    assert {reason(replace(WITHHOLDING, share=share), groups=("tenant=acme",)) for share in (0.0, 1.0)} == {"withheld"}


# What came up while the student was asked


def now(route: TaskRoute | None, confidence: float = 0.85, **told: Any) -> str:
    return revalidate(Decision("promoted", HEAD), route, confidence, **told).reason


def test_what_was_withheld_meanwhile_is_not_served() -> None:
    assert now(HEAD, answer="label:a") == "promoted"
    assert now(WITHHOLDING, answer="label:a") == "withheld"
    assert now(WITHHOLDING, 1.0, head="text:2") == "withheld"
    assert now(replace(HEAD, head_threshold=None), 1.0, head="text:1") == "unproven"


def test_what_is_withheld_is_so_for_the_last_resort_however_unsure_it_is() -> None:
    assert now(WITHHOLDING, 0.1, answer="label:a") == "withheld"
    assert now(WITHHOLDING, 0.1, answer="label:c") == "low_confidence"
    assert now(WITHHOLDING, 0.1, head="text:2") == "withheld"


def test_another_student_in_force_withholds_nothing_of_this_one() -> None:
    assert now(replace(WITHHOLDING, student="triage@2"), answer="label:c") == "not_allowed"
