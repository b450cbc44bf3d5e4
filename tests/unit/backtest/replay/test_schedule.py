"""When calls are played."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.recorded_calls import recorded_call

from understudies.backtest.replay.schedule import DEFAULT_START, assign_times, sample_arrival_times, start_of_utc_day

DAY = timedelta(days=1)


def test_recorded_times_are_kept_and_sorted_stably() -> None:
    later, noon = DEFAULT_START + 2 * DAY, DEFAULT_START + DAY
    calls = [recorded_call(line=1, at=later), recorded_call(line=2, at=noon), recorded_call(line=3, at=noon)]
    assert [(at, call.line) for at, call in assign_times(calls)] == [(noon, 2), (noon, 3), (later, 1)]


def test_a_call_without_a_time_follows_the_one_before_it() -> None:
    calls = [recorded_call(line=k, at=at) for k, at in enumerate((None, DEFAULT_START, None, DEFAULT_START + DAY))]
    assert [at for at, _ in assign_times(calls)] == [DEFAULT_START, DEFAULT_START, DEFAULT_START, DEFAULT_START + DAY]


def test_calls_without_times_are_spread_over_a_fortnight_from_a_fixed_midnight() -> None:
    timed = assign_times([recorded_call(line=k) for k in range(2000)])
    assert [call.line for _, call in timed] == list(range(2000))
    moments = [at for at, _ in timed]
    assert moments == sorted(moments)
    assert DEFAULT_START <= moments[0] < DEFAULT_START + DAY / 4
    assert DEFAULT_START + 13.75 * DAY < moments[-1] < DEFAULT_START + 14 * DAY


def test_calls_recorded_within_an_hour_are_spread_from_their_midnight() -> None:
    began = datetime(2025, 6, 1, 15, tzinfo=UTC)
    timed = assign_times([recorded_call(line=k, at=began + timedelta(seconds=k)) for k in range(500)])
    assert timed[0][0].date() == began.date()
    assert timed[-1][0] - timed[0][0] > 13 * DAY


def test_days_and_start_are_obeyed_where_they_are_given() -> None:
    calls = [recorded_call(line=k, at=DEFAULT_START + k * DAY) for k in range(30)]
    timed = assign_times(calls, days=3)
    assert timed[-1][0] < DEFAULT_START + 3 * DAY
    assert [call.line for _, call in timed] == list(range(30))
    shifted = assign_times(calls, start=datetime(2020, 1, 1, tzinfo=UTC))
    assert (shifted[0][0], shifted[-1][0]) == (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 30, tzinfo=UTC))
    assert assign_times([replace(c, at=None) for c in calls], start=datetime(2020, 1, 1, 9, tzinfo=UTC))[0][
        0
    ] >= datetime(2020, 1, 1, tzinfo=UTC)


def test_working_hours_are_about_five_times_as_busy_as_the_night() -> None:
    moments = sample_arrival_times(14_000, 14, DEFAULT_START, random.Random(1))
    hours = Counter(moment.hour for moment in moments)
    assert 4.5 < (hours[10] + hours[11]) / (hours[2] + hours[3]) < 5.5
    days = Counter(moment.date() for moment in moments)
    assert set(days.values()) <= set(range(998, 1003))


def test_the_seed_decides_the_moments() -> None:
    calls = [recorded_call(line=k) for k in range(100)]
    assert assign_times(calls, seed=3) == assign_times(calls, seed=3)
    assert assign_times(calls, seed=3) != assign_times(calls, seed=4)


@pytest.mark.parametrize("days", [0.1, 0.5, 1, 2.25])
def test_parts_of_days_are_filled_to_their_end_and_no_further(days: float) -> None:
    moments = sample_arrival_times(1000, days, DEFAULT_START, random.Random(0))
    assert moments == sorted(moments)
    assert DEFAULT_START + 0.99 * days * DAY < moments[-1] <= DEFAULT_START + days * DAY


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf")])
def test_a_number_of_days_that_is_not_positive_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="positive number of days"):
        sample_arrival_times(1, days, DEFAULT_START, random.Random(0))


def test_nothing_is_spread_to_nothing() -> None:
    assert assign_times([]) == []


def test_midnight_is_that_of_utc() -> None:
    assert start_of_utc_day(datetime.fromisoformat("2026-01-05T01:00:00+02:00")) == datetime(2026, 1, 4, tzinfo=UTC)
