"""What would save instead of a student, on logs of which the answer is known."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from understudies.economics.alternatives import Alternative, PricedCall, find_alternatives
from understudies.economics.prices import call_cost
from understudies.events import Usage, UsageDetails

START = datetime(2026, 10, 1, tzinfo=UTC)
FIXED = "You are a clerk. " * 400


def calls(
    minutes: float, *, model: str = "gpt-5", fixed: str = FIXED, n: int = 20, tokens: int = 4000
) -> list[PricedCall]:
    return [
        PricedCall(
            START + timedelta(minutes=minutes * number),
            model,
            Usage(prompt_tokens=tokens, completion_tokens=10),
            f"{fixed}{number:04} {'question ' * 20}",
        )
        for number in range(n)
    ]


def find(given: list[PricedCall]) -> list[Alternative]:
    return find_alternatives(lambda: given)


def named(found: list[Alternative], name: str) -> Alternative | None:
    return next((one for one in found if one.name == name), None)


def test_a_prefix_is_priced_where_the_call_before_came_in_time() -> None:
    found = named(find(calls(1)), "prompt caching")
    assert found is not None
    # 19 of 20 calls read 97% of their tokens at a tenth of the price; the output is 2% of the cost.
    assert Decimal("0.78") < found.share < Decimal("0.86")
    assert "of the prompt tokens repeat the beginning of the call before" in found.sentence
    assert named(find(calls(6)), "prompt caching") is None, "the cache has forgotten it"
    assert named(find(calls(1, tokens=1000)), "prompt caching") is None, "below the provider's minimum"
    assert named(find(calls(1, fixed="")), "prompt caching") is None, "nothing is shared"


def test_what_is_cached_already_cannot_be_saved_again() -> None:
    cached = [
        PricedCall(one.at, one.model, one.usage.model_copy(update={"cached_tokens": 3900}), one.prompt)
        for one in calls(1)
    ]
    assert named(find(cached), "prompt caching") is None


def test_a_provider_that_charges_for_writing_saves_less() -> None:
    rare = [*calls(1, model="claude-sonnet-4-5", n=2), *calls(60, model="claude-sonnet-4-5", n=20)[2:]]
    often = calls(1, model="claude-sonnet-4-5")
    found = named(find(often), "prompt caching")
    assert found is not None
    less = named(find(rare), "prompt caching")
    assert less is None or less.saved_usd < found.saved_usd / 10


def test_half_of_the_fixed_text_is_priced() -> None:
    found = named(find(calls(60)), "a shorter prompt")
    assert found is not None
    assert Decimal("0.4") < found.share < Decimal("0.5")
    assert named(find(calls(60, n=1)), "a shorter prompt") is None, "nothing repeats in a single call"


def test_what_is_left_out_of_a_cached_prompt_saves_at_the_price_of_the_cache() -> None:
    cached = [
        PricedCall(one.at, one.model, one.usage.model_copy(update={"cached_tokens": 3880}), one.prompt)
        for one in calls(1)
    ]
    found = named(find(cached), "a shorter prompt")
    assert found is not None
    left = call_cost("gpt-5", Usage(prompt_tokens=2053, completion_tokens=10, cached_tokens=1940))
    assert left is not None
    assert found.cost_usd - found.saved_usd == 20 * left


def test_the_batch_tier_is_half_the_price_where_the_list_has_one() -> None:
    found = named(find(calls(60)), "the batch tier")
    assert found is not None
    assert found.share == pytest.approx(Decimal("0.5"), abs=Decimal("0.01"))


def test_a_model_without_a_price_for_batches_saves_nothing_in_them() -> None:
    assert named(find(calls(60, model="gpt-5.3-codex")), "the batch tier") is None


def test_a_cheaper_model_is_named_with_the_gate_that_it_has_to_pass() -> None:
    found = named(find(calls(60)), "a cheaper model")
    assert found is not None
    assert found.share > Decimal("0.9")
    assert "UNDERSTUDIES_TRAINER_FEW_SHOT_ENDPOINT" in found.sentence
    assert named(find(calls(60, model="gpt-5-nano")), "a cheaper model") is None


def test_what_the_provider_stated_is_no_obstacle_and_unknown_calls_are_left_out() -> None:
    details = UsageDetails(stated_cost_usd=Decimal("9"))
    stated = [
        PricedCall(one.at, one.model, one.usage.model_copy(update={"details": details}), one.prompt)
        for one in calls(60)
    ]
    assert [one.saved_usd for one in find(stated)] == [one.saved_usd for one in find(calls(60))]
    assert find(calls(1, model="a-model-of-our-own")) == []
    assert find([]) == []
    free = [PricedCall(one.at, one.model, Usage(), one.prompt) for one in calls(1)]
    assert find(free) == []


def test_savings_come_largest_first_and_small_ones_not_at_all() -> None:
    found = find(calls(1))
    assert [one.saved_usd for one in found] == sorted((one.saved_usd for one in found), reverse=True)
    assert all(one.share >= Decimal("0.02") for one in found)
