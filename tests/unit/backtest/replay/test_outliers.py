"""Recorded times that lie far from all others."""

from datetime import UTC, datetime, timedelta

from tests.support.recorded_calls import recorded_call

from understudies.backtest.replay.outliers import clear_outlier_times

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def kept(*days: float | None) -> list[float | None]:
    """The days after the start that calls of these days keep."""
    calls = [recorded_call(at=None if day is None else START + day * DAY) for day in days]
    found = clear_outlier_times(calls)
    assert [call.request for call in found] == [call.request for call in calls]
    return [None if call.at is None else (call.at - START) / DAY for call in found]


def test_a_time_decades_before_or_after_all_others_is_left_out() -> None:
    assert kept(-9000, 0, 1, 2, 3) == [None, 0, 1, 2, 3]
    assert kept(0, 1, 20_000, 2, 3) == [0, 1, None, 2, 3]
    assert kept(-366, 0, 1, 2, 367.5) == [None, 0, 1, 2, None]


def test_a_log_of_years_with_long_silences_is_kept() -> None:
    assert kept(0, 365, 730, 1000) == [0, 365, 730, 1000]


def test_of_two_times_the_later_is_kept() -> None:
    assert kept(-9000, 0) == [None, 0]


def test_calls_without_times_stay_without() -> None:
    assert kept(None, None) == [None, None]
    assert kept(0, None, 1) == [0, None, 1]
    assert kept() == []
