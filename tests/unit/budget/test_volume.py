import json
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget_harness import at_hour

from understudies.budget.volume import MAX_HOURS, CallVolume


def seen(*moments: float) -> CallVolume:
    volume = CallVolume()
    for moment in moments:
        volume.record(at_hour(moment))
    return volume


def test_hours_are_counted_and_the_one_that_runs_is_not_shown() -> None:
    volume = seen(0.1, 0.9, 1.5, 2.2)
    assert volume.hourly_counts(at_hour(2.9)) == [2, 1]
    assert volume.hourly_counts(at_hour(3)) == [2, 1, 1]


def test_hours_without_calls_count_as_none() -> None:
    assert seen(0, 3).hourly_counts(at_hour(6)) == [1, 0, 0, 1, 0, 0]


def test_late_calls_find_their_hour() -> None:
    assert seen(0, 5, 2, 5, 0).hourly_counts(at_hour(6)) == [2, 0, 1, 0, 0, 2]


def test_what_comes_from_before_the_first_hour_is_left_out() -> None:
    volume = seen(5, 2)
    assert volume.hourly_counts(at_hour(6)) == [1]
    assert volume.first_hour == at_hour(5)


def test_before_anything_there_is_no_history() -> None:
    assert CallVolume().hourly_counts(at_hour(9)) == []
    assert CallVolume().first_hour is None
    assert seen(5).hourly_counts(at_hour(2)) == []


def test_eight_weeks_are_kept() -> None:
    volume = seen(*range(MAX_HOURS + 100))
    assert volume.hourly_counts(at_hour(MAX_HOURS + 100)) == [1] * MAX_HOURS
    assert volume.first_hour == at_hour(100)
    assert len(volume.hourly_counts(at_hour(MAX_HOURS + 500))) == MAX_HOURS
    assert sum(volume.hourly_counts(at_hour(MAX_HOURS + 500))) == MAX_HOURS - 400


def test_after_a_long_silence_history_begins_anew() -> None:
    volume = seen(0, 1, 10 * MAX_HOURS)
    assert volume.first_hour == at_hour(10 * MAX_HOURS)
    assert volume.hourly_counts(at_hour(10 * MAX_HOURS + 2)) == [1, 0]


def test_a_call_from_a_clock_far_ahead_is_left_out_once_the_time_is_known() -> None:
    volume = seen(0, 1)
    assert volume.hourly_counts(at_hour(2)) == [1, 1]
    volume.record(at_hour(100 * MAX_HOURS))
    volume.record(at_hour(2))
    assert volume.hourly_counts(at_hour(3)) == [1, 1, 1]


def test_counts_that_begin_far_ahead_are_forgotten() -> None:
    volume = seen(100 * MAX_HOURS)
    assert volume.hourly_counts(at_hour(2)) == []
    volume.record(at_hour(2))
    assert volume.hourly_counts(at_hour(3)) == [1]


@given(
    st.lists(st.floats(0, 3 * MAX_HOURS, allow_nan=False), max_size=30), st.floats(0, 4 * MAX_HOURS, allow_nan=False)
)
def test_it_counts_as_a_plain_list_would(moments: list[float], now: float) -> None:
    volume = seen(*moments)
    hourly = volume.hourly_counts(at_hour(now))
    assert len(hourly) <= MAX_HOURS
    first = volume.first_hour
    kept = [hour for hour in map(at_hour, moments) if first is not None and hour >= first]
    assert hourly == _plain(kept, first, at_hour(now))[-MAX_HOURS:]
    assert CallVolume.from_state(json.loads(json.dumps(volume.state()))).hourly_counts(at_hour(now)) == hourly


def _plain(kept: list[datetime], first: datetime | None, now: datetime) -> list[int]:
    if first is None or now < first:
        return []
    counts = [0] * int((now - first).total_seconds() // 3600)
    for moment in kept:
        index = int((moment - first).total_seconds() // 3600)
        if index < len(counts):
            counts[index] += 1
    return counts
