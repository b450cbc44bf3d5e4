"""The play: whole hours from the first call's to the last's, and each call with its place."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.backtest_outcomes import MONDAY, hours_after_monday, make_recorded_call, make_scheduled_call

from understudies.backtest.replay.player import STEP, iter_steps, to_router_call
from understudies.backtest.replay.schedule import schedule_calls
from understudies.events import SeededIds, position


def shape(*at: float) -> list[tuple[float, int]]:
    """For calls at these hours, the end of each step in hours and how many calls it has."""
    calls = [make_scheduled_call(hour, number) for number, hour in enumerate(at)]
    return [((end - MONDAY) / timedelta(hours=1), len(step)) for end, step in iter_steps(calls)]


def test_without_calls_there_is_no_step() -> None:
    assert shape() == []


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((0,), [(1, 1)]),
        ((0.5,), [(1, 1)]),
        ((0, 0.999), [(1, 2)]),
        ((0.999, 1.0), [(1, 1), (2, 1)]),
        ((23.99, 24.0), [(24, 1), (25, 1)]),
        ((0.5, 0.5, 0.5), [(1, 3)]),
        ((0.2, 4.0), [(1, 1), (2, 0), (3, 0), (4, 0), (5, 1)]),
        ((30.7, 32.1), [(31, 1), (32, 0), (33, 1)]),
    ],
)
def test_a_step_is_a_whole_hour_and_one_without_calls_is_played_too(
    at: tuple[float, ...], expected: list[tuple[float, int]]
) -> None:
    assert shape(*at) == expected


@given(st.lists(st.floats(min_value=0, max_value=200), min_size=1, max_size=40).map(sorted))
def test_every_call_is_in_the_one_step_of_its_hour(at: list[float]) -> None:
    calls = [make_scheduled_call(hour, number) for number, hour in enumerate(at)]
    played = list(iter_steps(calls))
    assert [call for _, step in played for call in step] == calls
    assert all(end - STEP <= call.at < end for end, step in played for call in step)
    ends = [end for end, _ in played]
    assert ends == [ends[0] + number * STEP for number in range(len(ends))]
    assert all(end.minute == end.second == end.microsecond == 0 for end in ends)
    assert played[-1][1]


def test_ids_and_draws_depend_on_place_and_seed_alone() -> None:
    timeline = [(hours_after_monday(number), make_recorded_call(number)) for number in range(50)]
    one, same, other = ([*schedule_calls(timeline, lambda _: Decimal(1), seed)] for seed in (7, 7, 8))
    assert one == same
    assert [call.id for call in one] == [*map(SeededIds("7:calls"), (at for at, _ in timeline))]
    assert [call.sample for call in one] == [position(f"7:{place}", "draw") for place in range(50)]
    assert len({call.id for call in one}) == 50
    assert {call.id for call in one}.isdisjoint(call.id for call in other)
    assert [call.sample for call in one] != [call.sample for call in other]
    assert all(0 <= call.sample < 1 for call in one)
    assert 0.3 < sum(call.sample for call in one) / 50 < 0.7


def test_calls_are_the_same_in_whatever_way_they_are_looked_at() -> None:
    names = ["b", "a", "b", "c", "a"]
    timeline = [(hours_after_monday(n), make_recorded_call(n, task=name)) for n, name in enumerate(names)]
    calls = schedule_calls(timeline, lambda call: Decimal(call.line), seed=1)
    every = [*calls]
    assert (len(calls), calls.tasks, [*calls.times]) == (5, ["a", "b", "c"], [call.at for call in every])
    assert [calls[place] for place in range(5)] == every
    assert (calls[-1], calls[1:3]) == (every[4], every[1:3])
    assert {name: [*calls.iter_task(name)] for name in "abcd"} == {
        "a": [every[1], every[4]], "b": [every[0], every[2]], "c": [every[3]], "d": []
    }  # fmt: skip
    assert {name: [*calls.recorded(name)] for name in "abd"} == {
        "a": [every[1].call, every[4].call], "b": [every[0].call, every[2].call], "d": []
    }  # fmt: skip
    assert calls.recorded("a")[-1:] == [every[4].call]
    with pytest.raises(IndexError):
        calls[5]


def test_a_call_keeps_its_moment_task_and_price() -> None:
    timeline = [
        (hours_after_monday(2), make_recorded_call(0)),
        (hours_after_monday(3), make_recorded_call(1, task=None)),
    ]
    calls = schedule_calls(timeline, lambda call: Decimal(call.line), seed=1)
    assert [(call.at, call.task, call.price) for call in calls] == [
        (hours_after_monday(2), "triage", Decimal(1)),
        (hours_after_monday(3), "", Decimal(2)),
    ]
    assert [call.call for call in calls] == [call for _, call in timeline]


def test_a_call_is_played_in_the_episode_that_it_was_recorded_in() -> None:
    timeline = [
        (hours_after_monday(number), replace(make_recorded_call(number), episode=name))
        for number, name in enumerate(("trip", None))
    ]
    assert [to_router_call(one).episode for one in schedule_calls(timeline, lambda _: Decimal(1), 7)] == ["trip", None]
