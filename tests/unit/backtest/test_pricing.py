"""What a recorded call cost."""

from decimal import Decimal

import pytest
from tests.support.recorded_calls import recorded_call

from understudies.backtest.pricing import describe_assumption, find_unknown_prices, price_by, resolve_price
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, call_cost
from understudies.events import Usage

USAGE = Usage(prompt_tokens=1000, completion_tokens=100)


def test_a_given_price_comes_first_and_then_the_recorded_one() -> None:
    call = recorded_call(cost=Decimal("0.002"), model="gpt-4o", usage=USAGE)
    assert resolve_price(call, Decimal("0.05")) == Decimal("0.05")
    assert resolve_price(call) == Decimal("0.002")
    assert resolve_price(recorded_call(cost=Decimal(0), model="gpt-4o", usage=USAGE)) == 0


def test_without_either_the_model_and_its_usage_tell() -> None:
    known = call_cost("gpt-4o", USAGE)
    assert known is not None
    assert resolve_price(recorded_call(model="gpt-4o", usage=USAGE)) == known > 0


@pytest.mark.parametrize("given", [None, Decimal("0.05")])
def test_many_calls_are_priced_as_each_by_itself(given: Decimal | None) -> None:
    price = price_by(given)
    calls = [
        recorded_call(cost=cost, model=model, usage=usage)
        for cost in (None, Decimal("0.002"))
        for model in ("gpt-4o", "gpt-4o-mini", "no-such-model")
        for usage in (USAGE, Usage(), Usage(prompt_tokens=2000))
    ]
    assert [price(call) for call in calls * 2] == [resolve_price(call, given) for call in calls] * 2


def test_an_unknown_model_costs_three_cents() -> None:
    assert (
        resolve_price(recorded_call(model="no-such-model", usage=USAGE)) == DEFAULT_TEACHER_CALL_USD == Decimal("0.03")
    )
    assert resolve_price(recorded_call()) == DEFAULT_TEACHER_CALL_USD


def test_a_known_model_without_usage_costs_three_cents() -> None:
    assert resolve_price(recorded_call(model="gpt-4o")) == DEFAULT_TEACHER_CALL_USD


def test_an_unknown_price_is_told_with_the_price_from_which_the_task_would_pay() -> None:
    calls = [
        ("notes", recorded_call(model="our-own", usage=USAGE)),
        ("notes", recorded_call(model="our-own", usage=USAGE)),
        ("mail", recorded_call()),
        ("known", recorded_call(model="gpt-4o", usage=USAGE)),
        ("known", recorded_call(cost=Decimal("0.002"))),
    ]
    unknown = find_unknown_prices(calls, {"notes": Decimal("0.00123"), "mail": None})
    assert [one.sentence for one in unknown] == [
        "mail: 1 call without a model and a cost: $0.03 a call is assumed."
        " Name what they cost, as in --teacher-price 0.002",
        "notes: 2 calls of 'our-own' without a known price or usage: $0.03 a call is assumed;"
        " the task would pay from $0.0012 a call. Name what they cost, as in --teacher-price 0.002",
    ]
    assert describe_assumption(unknown, 5) == (
        "No price is known for 3 of 5 calls: all figures in dollars assume $0.03 a call for them."
        " A student pays from a teacher's price a call of: notes $0.0012."
        " Name what a call costs, as in --teacher-price 0.002."
    )
    assert describe_assumption(unknown[:1], 1).startswith("No price is known for any call: ")
    assert unknown[1].to_dict() == {"task": "notes", "calls": 2, "model": "our-own", "pays_from_usd": 0.00123}
