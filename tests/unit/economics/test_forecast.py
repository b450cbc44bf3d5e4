"""Next week's calls from hourly counts."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.economics.forecast import Forecast, forecast

DAY = [0] * 8 + [30] * 12 + [0] * 4
WEEK = DAY * 5 + [0] * 48


def test_no_history_forecasts_nothing() -> None:
    assert forecast([]) == Forecast(0, 0, 0.25, True, 0)


def test_less_than_a_day_takes_the_mean_hour() -> None:
    assert forecast([1, 2, 3, 6]) == Forecast(504, 126, 0.25, True, 4)


@pytest.mark.parametrize(
    ("hours", "factor"), [(23, 0.25), (24, 0.5), (71, 0.5), (72, 0.6), (167, 0.6), (168, 0.7), (335, 0.7)]
)
def test_the_factor_grows_with_the_history(hours: int, factor: float) -> None:
    found = forecast([1] * hours)

    assert (found.calls, found.factor, found.low_confidence) == (168, factor, hours < 24)
    assert found.lower == math.floor(168 * factor)


def test_whole_days_only_count_below_a_week() -> None:
    assert forecast([1000] * 10 + DAY * 2).calls == 360 * 7


def test_the_last_week_counts_from_a_week_on() -> None:
    assert forecast([999] * 100 + WEEK).calls == sum(WEEK)


def test_regular_weeks_leave_only_the_base_noise() -> None:
    found = forecast(WEEK * 3)

    assert found.factor == pytest.approx(math.exp(-1.645 * 0.15))
    assert found.lower == math.floor(1800 * found.factor)


def test_irregular_weeks_widen_the_bound() -> None:
    found = forecast([1] * 168 + [2] * 168 + [1] * 168)

    assert found.factor == pytest.approx(math.exp(-1.645 * math.sqrt(0.15**2 + math.log(2) ** 2)))


def test_weeks_are_aligned_to_the_end() -> None:
    assert forecast([77] * 50 + WEEK * 2).factor == forecast(WEEK * 2).factor


def test_an_empty_week_is_a_large_but_finite_change() -> None:
    found = forecast([0] * 168 + [1] * 168)

    assert found.factor == pytest.approx(math.exp(-1.645 * math.sqrt(0.15**2 + math.log(168) ** 2)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=600))
def test_the_lower_bound_lies_below_the_forecast(hourly: list[int]) -> None:
    found = forecast(hourly)

    assert 0 <= found.lower <= found.calls
    assert 0 < found.factor < 1
    assert found.hours == len(hourly)


def test_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="-3"):
        forecast([1, -3])
