"""Costs that are remembered are those of the price list."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.economics import linear_prices
from understudies.economics.prices import Price, call_cost, teacher_call_cost
from understudies.events import Usage, UsageDetails, usd
from understudies.router.upstream.metering import PriceCache

AT = datetime(2026, 3, 2, 12, 30, 17, tzinfo=UTC)
PRICES = PriceCache()
counts = st.one_of(st.integers(0, 5000), st.integers(0, 5_000_000))
models = st.sampled_from(
    ["gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "anthropic/claude-opus-4-1", "ours", ""]
)


@given(models, counts, counts, counts)
def test_a_cost_is_that_of_the_price_list(model: str, prompt: int, completion: int, cached: int) -> None:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    assert PRICES.cost(model, usage, None, AT) == teacher_call_cost(model, usage, at=AT)


@pytest.mark.parametrize("price", [Decimal("0.25"), Price(Decimal(1), Decimal(2))])
def test_a_price_of_ones_own_goes_first(price: Price | Decimal) -> None:
    usage = Usage(prompt_tokens=1000)
    assert PRICES.cost("gpt-4o", usage, price, AT) == teacher_call_cost("gpt-4o", usage, price)


def test_prices_at_all_hours_and_of_all_models_do_not_pile_up() -> None:
    prices = PriceCache()
    for number in range(1500):
        prices.cost(f"ours-{number}", Usage(prompt_tokens=1), None, AT + timedelta(hours=number))
    assert prices.cost("gpt-4o-mini", Usage(prompt_tokens=1000), None, AT) == Decimal("0.00015")


def test_prices_of_a_minute_are_looked_up_once_wherever_its_calls_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    prices, asked = PriceCache(), 0

    def counting(model: str, usage: Usage, *, at: datetime | None = None) -> Decimal | None:
        nonlocal asked
        asked += 1
        return call_cost(model, usage, at=at)

    monkeypatch.setattr(linear_prices, "call_cost", counting)
    usage = Usage(prompt_tokens=1000)
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    moments = (AT, AT.replace(second=59), AT.astimezone(elsewhere))
    costs = [prices.cost("gpt-4o-mini", usage, None, at) for at in moments]
    once, asked = asked, 0
    assert costs == [Decimal("0.00015")] * 3
    assert prices.cost("gpt-4o-mini", usage, None, AT + timedelta(minutes=1)) == Decimal("0.00015")
    assert asked == once > 0


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "claude-sonnet-4-5", "in-no-list"])
@pytest.mark.parametrize(
    "details",
    [
        UsageDetails(cache_write_tokens=90, cache_write_1h_tokens=40),
        UsageDetails(service_tier="flex"),
        UsageDetails(web_searches=2),
        UsageDetails(stated_cost_usd=usd("0.0123")),
    ],
)
def test_what_has_a_price_of_its_own_is_priced_by_the_list(model: str, details: UsageDetails) -> None:
    usage = Usage(prompt_tokens=100, completion_tokens=10, details=details)
    assert PRICES.cost(model, usage, None, AT) == teacher_call_cost(model, usage, at=AT)
