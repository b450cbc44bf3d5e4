"""The fallback procedure against its definition, and the error that it controls."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.fallback import fallback_levels, fallback_weights, sequence_weights


@settings(deadline=None)
@given(st.integers(1, 40))
def test_weights_spend_the_whole_budget_once(count: int) -> None:
    weights = fallback_weights(count)

    assert math.fsum(weights) == pytest.approx(1.0)
    assert len(weights) == count
    assert weights[0] == (1.0 if count == 1 else 0.5)


@settings(deadline=None)
@given(st.integers(1, 100), st.data())
def test_a_sequence_spends_the_whole_budget_on_its_start_and_the_strictest(count: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, count - 1))
    weights = sequence_weights(count, start)

    assert math.fsum(weights) == pytest.approx(1.0, abs=1e-12)
    assert len(weights) == count
    assert {index for index, weight in enumerate(weights) if weight > 0} == {0, start}
    assert weights[start] == (0.9 if start else 1.0)


@pytest.mark.parametrize("start", [-1, 3])
def test_a_start_that_is_no_test_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match=f"3 tests, got {start}"):
        sequence_weights(3, start)


def test_a_sequence_tests_each_at_what_the_start_had_until_one_fails() -> None:
    levels = list(fallback_levels([1.0, 1e-9, 0.04, 0.044, 0.05, 1e-9], 0.05, sequence_weights(6, 2)))

    assert [level for level, _ in levels] == pytest.approx([0.005, 0.0, 0.045, 0.045, 0.045, 0.0])
    assert [passed for _, passed in levels] == [False, False, True, True, False, False]


def test_where_all_are_passed_from_the_strictest_on_the_sequence_has_the_whole_budget() -> None:
    levels = list(fallback_levels([0.005] * 3 + [0.05] * 3, 0.05, sequence_weights(6, 3)))

    assert [level for level, _ in levels] == pytest.approx([0.005] * 3 + [0.05] * 3)
    assert all(passed for _, passed in levels)


@pytest.mark.parametrize("start", [0, 9, 45, 90])
def test_familywise_error_holds_wherever_the_sequence_starts(start: int) -> None:
    p_values = np.random.default_rng(42).random((4000, 91))
    weights = sequence_weights(91, start)
    false = [any(passed for _, passed in fallback_levels(row, 0.05, weights)) for row in p_values.tolist()]

    assert np.mean(false) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / len(false))), "and is spent"


@pytest.mark.parametrize("first_false", [1, 10, 40])
def test_true_passes_before_it_leave_a_false_test_no_more_than_the_budget(first_false: int) -> None:
    p_values = np.random.default_rng(43).random((4000, 91))
    p_values[:, :first_false] = 0.0
    weights = sequence_weights(91, 20)
    false = [
        any(passed for _, passed in list(fallback_levels(row, 0.05, weights))[first_false:])
        for row in p_values.tolist()
    ]

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
