"""What a call costs."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, call_cost, teacher_call_cost
from understudies.events import Usage, usd

tokens = st.integers(0, 10**7)
USAGE = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)


def test_a_known_model_has_the_price_of_the_list() -> None:
    assert call_cost("gpt-4o-mini", USAGE) == usd("0.75")


def test_cached_tokens_cost_less() -> None:
    fresh, cached = Usage(prompt_tokens=1000), Usage(prompt_tokens=1000, cached_tokens=1000)

    assert call_cost("gpt-4o-mini", fresh) == usd("0.00015")
    assert call_cost("gpt-4o-mini", cached) == usd("0.000075")


def test_more_cached_tokens_than_prompt_tokens_count_as_all_of_them() -> None:
    assert call_cost("gpt-4o-mini", Usage(prompt_tokens=1000, cached_tokens=2000)) == usd("0.000075")


def test_a_model_named_with_its_provider_is_found() -> None:
    assert call_cost("anthropic/claude-sonnet-4-5", USAGE) == call_cost("claude-sonnet-4-5", USAGE) is not None


@pytest.mark.parametrize("model", ["", "a-model-of-our-own", "nobody/nothing", "anthropic/", "/"])
def test_an_unknown_model_has_no_cost(model: str) -> None:
    assert call_cost(model, USAGE) is None
    assert teacher_call_cost(model, USAGE) == DEFAULT_TEACHER_CALL_USD == Decimal("0.03")


def test_usage_that_nobody_counted_has_no_cost() -> None:
    assert call_cost("gpt-4o", Usage()) is None
    assert call_cost("gpt-4o", Usage(cached_tokens=5)) is None
    assert call_cost("gpt-4o", Usage(prompt_tokens=10**30)) is None
    assert teacher_call_cost("gpt-4o", Usage()) == DEFAULT_TEACHER_CALL_USD
    assert teacher_call_cost("gpt-4o", Usage(), Price(Decimal(0), Decimal(0))) == 0


def test_prices_are_those_of_the_time_of_the_call() -> None:
    then = datetime(2025, 6, 1, tzinfo=UTC)

    assert call_cost("gpt-4o", Usage(prompt_tokens=1000), at=then) == usd("0.0025")


def test_an_explicit_price_overrides_the_list() -> None:
    assert teacher_call_cost("gpt-4o-mini", USAGE, Price(Decimal(1), Decimal(2))) == usd(3)
    assert teacher_call_cost("gpt-4o-mini", USAGE, Decimal("0.0101")) == usd("0.0101")
    assert teacher_call_cost("gpt-4o-mini", USAGE) == usd("0.75")


@settings(deadline=None)
@given(tokens, tokens, tokens)
def test_a_price_agrees_with_the_list_for_the_same_rates(prompt: int, completion: int, cached: int) -> None:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=min(cached, prompt))
    price = Price(Decimal("0.15"), Decimal("0.6"), cached_input_per_mtok=Decimal("0.075"))

    assert call_cost("gpt-4o-mini", usage) == (price.cost(usage) if usage.counted else None)


@pytest.mark.parametrize("bad", ["-1", "NaN", "Infinity"])
def test_refuses_a_price_that_is_none(bad: str) -> None:
    with pytest.raises(ValueError, match="output_per_mtok"):
        Price(Decimal(1), Decimal(bad))


def test_cached_tokens_cost_as_much_as_others_where_they_have_no_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000, cached_tokens=400_000)
    assert Price(Decimal(3), Decimal(15)).cost(usage) == usd(18)
    assert Price(Decimal(3), Decimal(15), Decimal(0)).cost(usage) == usd("16.8")
