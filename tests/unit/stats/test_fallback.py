"""The fallback procedure against its definition, and the error that it controls."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.fallback import aimed_weights, fallback_levels, fallback_weights


@settings(deadline=None)
@given(st.integers(1, 40))
def test_weights_spend_the_whole_budget_once(count: int) -> None:
    weights = fallback_weights(count)

    assert math.fsum(weights) == pytest.approx(1.0)
    assert len(weights) == count
    assert weights[0] == (1.0 if count == 1 else 0.5)


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_aimed_weights_spend_the_whole_budget_and_most_of_it_on_the_aim(count: int, data: st.DataObject) -> None:
    aim = data.draw(st.integers(0, count - 1))
    weights = aimed_weights(count, aim)

    assert math.fsum(weights) == pytest.approx(1.0)
    assert len(weights) == count
    assert min(weights) > 0, "every test can pass by itself"
    assert weights[aim] == max(weights) >= 0.5
    if aim:
        assert weights[0] >= 0.25, "should the guess be too bold"


@pytest.mark.parametrize("aim", [-1, 3])
def test_an_aim_that_is_no_test_is_refused(aim: int) -> None:
    with pytest.raises(ValueError, match=f"3 tests, got {aim}"):
        aimed_weights(3, aim)


@pytest.mark.parametrize("aim", [0, 9, 18])
def test_familywise_error_holds_wherever_the_budget_is_aimed(aim: int) -> None:
    p_values = np.random.default_rng(42).random((4000, 19))
    weights = aimed_weights(19, aim)
    false = [any(passed for _, passed in fallback_levels(row, 0.05, weights)) for row in p_values.tolist()]

    assert np.mean(false) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(false))


def test_a_failed_test_hands_nothing_on() -> None:
    levels = list(fallback_levels([1.0, 0.0, 0.0, 1.0, 0.0], alpha=0.08))

    assert [level for level, _ in levels] == pytest.approx([0.04, 0.01, 0.02, 0.03, 0.01])
    assert [passed for _, passed in levels] == [False, True, True, False, True]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=19), st.data())
def test_smaller_p_values_never_pass_less(p_values: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(p_values) - 1))
    smaller = [p / 2 if i == index else p for i, p in enumerate(p_values)]
    before = [passed for _, passed in fallback_levels(p_values, 0.05)]
    after = [passed for _, passed in fallback_levels(smaller, 0.05)]

    assert all(now or not then for then, now in zip(before, after, strict=True))


@pytest.mark.parametrize("shared", [0.0, 0.9, 1.0])
def test_familywise_error_holds_under_dependence(shared: float) -> None:
    rng = np.random.default_rng(41)
    runs, tests = 4000, 19
    noise = math.sqrt(shared) * rng.standard_normal((runs, 1)) + math.sqrt(1 - shared) * rng.standard_normal(
        (runs, tests)
    )
    p_values = 0.5 * np.vectorize(math.erfc)(noise / math.sqrt(2))
    false = [any(passed for _, passed in fallback_levels(row, 0.05)) for row in p_values.tolist()]

    assert np.mean(false) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
