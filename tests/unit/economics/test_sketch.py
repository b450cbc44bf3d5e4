"""Counting in bounded memory."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.economics.sketch import DistinctCounter, FrequentKeys

keys = st.lists(st.sampled_from("abcdefghij"), max_size=200)


@settings(deadline=None)
@given(keys)
def test_distinct_is_exact_below_the_cap(stream: list[str]) -> None:
    counter = DistinctCounter(cap=10)
    for key in stream:
        counter.add(key)

    assert counter.estimate == len(set(stream))
    assert counter.is_exact


def test_distinct_is_close_above_the_cap_and_ignores_repeats() -> None:
    counter = DistinctCounter(cap=1024)
    for key in range(100_000):
        counter.add(str(key))
        counter.add(str(key // 2))

    assert counter.estimate == pytest.approx(100_000, rel=0.12)
    assert not counter.is_exact
    assert len(counter.state()["hashes"]) <= 1024


@settings(deadline=None)
@given(keys, st.integers(1, 12))
def test_frequent_counts_are_never_too_high_nor_far_too_low(stream: list[str], cap: int) -> None:
    counted, true = FrequentKeys(cap), Counter(stream)
    for key in stream:
        counted.add(key)
    top = counted.top(cap)

    for found, real in zip(top, sorted(true.values(), reverse=True), strict=False):
        assert found <= real
    heaviest = max(true.values(), default=0)
    assert (top[0] if top else 0) >= heaviest - len(stream) / (cap + 1)


def test_frequent_counts_honour_their_floor() -> None:
    counted = FrequentKeys(10)
    for key in "aaabbc":
        counted.add(key)

    assert counted.top(10, at_least=2) == [3, 2]
    assert counted.top(1) == [3]


@settings(deadline=None)
@given(keys, keys)
def test_state_round_trips_through_json(before: list[str], after: list[str]) -> None:
    distinct, frequent = DistinctCounter(4), FrequentKeys(3)
    for key in before:
        distinct.add(key)
        frequent.add(key)
    distinct_again = DistinctCounter.from_state(json.loads(json.dumps(distinct.state())))
    frequent_again = FrequentKeys.from_state(json.loads(json.dumps(frequent.state())))
    for key in after:
        for counter in (distinct, distinct_again, frequent, frequent_again):
            counter.add(key)

    assert distinct_again.state() == distinct.state()
    assert frequent_again.state() == frequent.state()
