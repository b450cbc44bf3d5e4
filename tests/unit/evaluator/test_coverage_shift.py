"""A shift of unlabelled traffic asks for more audits, once a day, and never demotes."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from understudies.evaluator.coverage_shift import CoverageShiftMonitor, SurenessMonitor
from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def day_of(
    sure: int, asked: int, at: datetime = MONDAY, traffic: CoverageShiftMonitor | None = None
) -> CoverageShiftMonitor:
    traffic = traffic or CoverageShiftMonitor()
    for number in range(asked):
        traffic.add(number < sure, at)
    return traffic


@pytest.mark.parametrize(
    ("sure", "asked", "shifted"),
    [
        (120, 200, False),  # as expected
        (110, 200, False),  # a little less
        (40, 200, True),  # far less
        (190, 200, True),  # far more
        (10, 49, False),  # too few calls to tell
        (5, 50, True),
    ],
)
def test_a_shift_is_large_and_beyond_chance(sure: int, asked: int, shifted: bool) -> None:
    assert day_of(sure, asked).check_shift(0.6) is shifted


def test_it_warns_once_a_day() -> None:
    traffic = day_of(10, 100)
    assert [traffic.check_shift(0.6), traffic.check_shift(0.6)] == [True, False]
    assert day_of(10, 100, MONDAY + timedelta(days=1), traffic).check_shift(0.6)


def test_each_day_counts_for_itself() -> None:
    traffic = day_of(10, 100)
    traffic.add(True, MONDAY + timedelta(days=1))
    assert (traffic.asked, traffic.sure) == (1, 1)


def test_state_round_trips_through_json() -> None:
    traffic = day_of(10, 100)
    traffic.check_shift(0.6)
    assert CoverageShiftMonitor.from_state(json.loads(json.dumps(traffic.state()))) == traffic
    assert CoverageShiftMonitor.from_state(CoverageShiftMonitor().state()) == CoverageShiftMonitor()


@pytest.mark.parametrize("expected", [0.02, 0.3, 0.6, 0.95])
def test_what_is_told_without_bounds_is_what_they_would_tell(expected: float) -> None:
    for sure in range(0, 301, 3):
        low, high = clopper_pearson_lower(sure, 300, 0.001), clopper_pearson_upper(sure, 300, 0.001)
        assert day_of(sure, 300).check_shift(expected) is not (high > expected - 0.1 and low < expected + 0.1)


# Fewer sure answers than usual


def fed(sure: int, unsure: int) -> SurenessMonitor:
    monitor = SurenessMonitor()
    for number in range(sure + unsure):
        monitor.add(number < sure)
    return monitor


@pytest.mark.parametrize(
    ("sure", "unsure", "fallen"),
    [
        (30, 30, False),  # as expected
        (16, 44, False),  # a quarter less, less by one
        (14, 46, True),
        (0, 59, False),  # too few calls to tell
        (0, 60, True),
        (60, 60, True),  # the last sixty
    ],
)
def test_a_fall_is_large_and_beyond_chance_among_the_last_calls(sure: int, unsure: int, fallen: bool) -> None:
    assert fed(sure, unsure).has_fallen(0.5) is fallen


def test_after_a_fall_it_begins_anew() -> None:
    monitor = fed(0, 60)
    assert [monitor.has_fallen(0.5), monitor.has_fallen(0.5)] == [True, False]


def test_by_chance_it_falls_less_than_once_in_twenty_thousand_calls() -> None:
    rng = random.Random(5)
    monitor, falls = SurenessMonitor(), 0
    for _ in range(60_000):
        monitor.add(rng.random() < 0.5)
        falls += monitor.has_fallen(0.5)
    assert falls <= 3


def test_the_recent_calls_survive_a_snapshot() -> None:
    monitor = fed(20, 39)
    restored = SurenessMonitor.from_state(json.loads(json.dumps(monitor.state())))
    monitor.add(False)
    restored.add(False)
    assert restored == monitor
