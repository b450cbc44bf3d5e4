"""What a call is likely to cost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.economics.prices import Price
from understudies.events import Message, Request, Usage
from understudies.router.budgets.cost_estimate import (
    RunningMeanCost,
    count_characters,
    estimate_cost,
    max_answer_tokens,
)

COST = Price(Decimal(3), Decimal(15)).cost


def request(*contents: object, **parameters: object) -> Request:
    messages = [{"role": "user", "content": content} for content in contents]
    return Request.model_validate({"messages": messages, "parameters": parameters})


def test_the_most_that_a_call_may_cost_is_taken_until_the_mean_is_known() -> None:
    assert estimate_cost(COST, characters=4001, max_tokens=200) == COST(
        Usage(prompt_tokens=1001, completion_tokens=200)
    )
    assert estimate_cost(COST, characters=4000) == COST(Usage(prompt_tokens=1000, completion_tokens=1000))


def test_a_flat_price_is_the_estimate() -> None:
    assert estimate_cost(lambda _: Decimal("0.002"), characters=10**6, mean_cost=Decimal("0.001")) == Decimal("0.002")


@given(st.integers(0, 10**7), st.none() | st.integers(1, 10**5), st.decimals(0, 100, places=9))
def test_the_mean_is_taken_between_what_the_text_costs_and_the_most(
    characters: int, max_tokens: int | None, typical: Decimal
) -> None:
    found = estimate_cost(COST, characters=characters, max_tokens=max_tokens, mean_cost=typical)
    text = estimate_cost(COST, characters=characters, max_tokens=0)
    assert found >= text
    if max_tokens is not None:
        assert found <= estimate_cost(COST, characters=characters, max_tokens=max_tokens)
        assert found in (typical, text, estimate_cost(COST, characters=characters, max_tokens=max_tokens))
    else:
        assert found == max(typical, text)


def test_the_mean_is_that_of_the_task_and_model_from_the_fifth_call_on() -> None:
    typical = RunningMeanCost()
    for _ in range(4):
        typical.add("triage", "gpt", Decimal("0.002"))
    assert typical.mean("triage", "gpt") is None
    typical.add("triage", "gpt", Decimal("0.002"))
    assert typical.mean("triage", "gpt") == Decimal("0.002")
    assert typical.mean("triage", "other") is None
    assert typical.mean("other", "gpt") is None


def test_the_mean_follows_what_calls_cost_of_late() -> None:
    typical = RunningMeanCost()
    for cost in ["0.001"] * 500 + ["0.003"] * 500:
        typical.add("triage", "gpt", Decimal(cost))
    mean = typical.mean("triage", "gpt")
    assert mean is not None
    assert abs(mean - Decimal("0.003")) < Decimal("0.000001")


def test_means_do_not_pile_up() -> None:
    typical = RunningMeanCost()
    for n in range(20_000):
        typical.add(f"task-{n}", "gpt", Decimal("0.001"))
        typical.add("triage", "gpt", Decimal("0.001"))
    assert len(typical) == 10_000
    assert typical.mean("triage", "gpt") == Decimal("0.001")


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [
        ({}, None),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 100, "n": 3}, 300),
        ({"max_tokens": 100, "max_completion_tokens": 50}, 50),
        ({"max_output_tokens": 70}, 70),
        ({"max_tokens": "many", "n": None}, None),
        ({"max_tokens": 1e300}, None),
        ({"max_tokens": -5}, None),
        ({"max_tokens": True, "n": 2}, 2),
    ],
)
def test_the_limit_of_an_answer_is_what_the_caller_says(parameters: dict[str, object], limit: int | None) -> None:
    assert max_answer_tokens(request("hello", **parameters)) == limit


def test_only_text_has_a_size() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert count_characters(request("hello", [{"type": "text", "text": "what is this?"}, picture])) == 18
    assert count_characters(Request(messages=(Message(role="user", content=None),))) == 0
