"""What a recorded call cost."""

from decimal import Decimal

from tests.support.recorded import recorded

from understudies.backtest.pricing import price_of
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, call_cost
from understudies.events import Usage

USAGE = Usage(prompt_tokens=1000, completion_tokens=100)


def test_a_given_price_comes_first_and_then_the_recorded_one() -> None:
    call = recorded(cost=Decimal("0.002"), model="gpt-4o", usage=USAGE)
    assert price_of(call, Decimal("0.05")) == Decimal("0.05")
    assert price_of(call) == Decimal("0.002")
    assert price_of(recorded(cost=Decimal(0), model="gpt-4o", usage=USAGE)) == 0


def test_without_either_the_model_and_its_usage_tell() -> None:
    known = call_cost("gpt-4o", USAGE)
    assert known is not None
    assert price_of(recorded(model="gpt-4o", usage=USAGE)) == known > 0


def test_an_unknown_model_costs_three_cents() -> None:
    assert price_of(recorded(model="no-such-model", usage=USAGE)) == DEFAULT_TEACHER_CALL_USD == Decimal("0.03")
    assert price_of(recorded()) == DEFAULT_TEACHER_CALL_USD


def test_a_known_model_without_usage_costs_three_cents() -> None:
    assert price_of(recorded(model="gpt-4o")) == DEFAULT_TEACHER_CALL_USD
