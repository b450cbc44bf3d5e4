"""Prices that are kept are those of the price list."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.economics import linear_prices
from understudies.economics.linear_prices import BATCH_TIER, TodaysPrices
from understudies.economics.prices import call_cost
from understudies.events import Usage, UsageDetails

PRICES = TodaysPrices()
models = st.sampled_from(
    [
        "gpt-4o-mini",
        "gpt-5-nano",
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "gpt-5.3-codex",
        "anthropic/claude-opus-4-1",
        "",
    ]
)
counts = st.one_of(st.integers(0, 5000), st.integers(0, 5_000_000))
every_details = st.sampled_from(
    [
        None,
        BATCH_TIER,
        UsageDetails(),
        UsageDetails(service_tier="batch", cache_write_tokens=40),
        UsageDetails(web_searches=2),
        UsageDetails(stated_cost_usd=Decimal("0.0123")),
    ]
)


@given(models, counts, counts, counts, every_details)
def test_a_cost_is_that_of_the_price_list(
    model: str, prompt: int, completion: int, cached: int, details: UsageDetails | None
) -> None:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached, details=details)
    assert PRICES.cost(model, usage) == call_cost(model, usage)


@pytest.mark.parametrize("details", [None, BATCH_TIER])
def test_the_list_is_asked_about_a_model_and_not_about_each_call(
    monkeypatch: pytest.MonkeyPatch, details: UsageDetails | None
) -> None:
    asked: list[Usage] = []

    def note(model: str, usage: Usage, *, at: None = None) -> Decimal | None:
        asked.append(usage)
        return call_cost(model, usage, at=at)

    monkeypatch.setattr(linear_prices, "call_cost", note)
    prices = TodaysPrices()
    usages = [Usage(prompt_tokens=tokens, completion_tokens=3, details=details) for tokens in range(1, 200)]
    for usage in usages:
        prices.cost("gpt-4o-mini", usage)
        prices.cost("in-no-list", usage)
    assert asked
    assert not any(usage in asked for usage in usages)
