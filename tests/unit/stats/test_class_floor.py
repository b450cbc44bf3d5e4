"""The floor on agreement within each answer class."""

import json

import numpy as np
import pytest

from understudies.stats import ClassFloor, clopper_pearson_upper


def test_the_floor_waits_for_enough_verdicts() -> None:
    counts = ClassFloor(1)
    for _ in range(19):
        counts.add("rare", 0.0, 0)
    assert counts.holds().tolist() == [True]

    counts.add("rare", 0.0, 0)
    assert counts.holds().tolist() == [False]


def test_a_class_fails_only_when_shown_to_lie_below_the_floor() -> None:
    counts = ClassFloor(1)
    for call in range(20):
        counts.add("edge", float(call >= 7), 0)
    assert counts.holds().tolist() == [True], "13 of 20 happens to a class at .80 in one case of twelve"

    counts.add("edge", 0.0, 0)
    counts.add("edge", 0.0, 0)
    assert counts.failing(0) == ["edge"]


@pytest.mark.parametrize("n", [20, 37, 200, 5000])
def test_the_test_is_the_clopper_pearson_upper_bound(n: int) -> None:
    for agree in range(round(n * 0.6), round(n * 0.85)):
        counts = ClassFloor(1)
        counts._counts["c"] = np.array([[float(n)], [float(agree)]])
        assert (not counts.holds()[0]) == (clopper_pearson_upper(agree, n) < 0.8)


def test_each_threshold_counts_only_what_it_serves() -> None:
    counts = ClassFloor(3)
    for _ in range(20):
        counts.add("good", 1.0, 0)
        counts.add("bad", 0.0, 2)

    assert counts.holds().tolist() == [True, True, False]
    assert [counts.failing(index) for index in range(3)] == [[], [], ["bad"]]


def test_state_round_trips_through_json() -> None:
    counts = ClassFloor(2, floor=0.7, min_verdicts=1)
    for _ in range(3):
        counts.add("ä", 0.0, 1)
    restored = ClassFloor.from_state(json.loads(json.dumps(counts.state())))

    assert restored.state() == counts.state()
    assert restored.holds().tolist() == counts.holds().tolist() == [True, False]


def test_refuses_a_floor_that_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        ClassFloor(1, floor=1.5)
