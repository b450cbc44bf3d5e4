"""How much of a task's calls a student would serve."""

import json

import pytest

from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage, head_thresholds
from understudies.events import ALWAYS, Withheld


def new() -> ExpectedCoverage:
    """Of 100 calls, 80 are not of the head: 40 surer than .9, 30 surer than .5, 10 less sure than any candidate."""
    reach = ExpectedCoverage([0.9, 0.5])
    for confidence, answer, calls in ((0.95, "a", 30), (0.9, "b", 10), (0.6, "a", 20), (0.5, "b", 10), (0.2, "a", 10)):
        reach.add_tail_call(confidence, answer, calls)
    reach.add_head_call("often", 1.0, 10)
    reach.add_head_call("often", 0.4, 5)
    reach.add_head_call("unsure", 0.7, 5)
    return reach


@pytest.mark.parametrize(
    ("threshold", "head_threshold", "share"),
    [(None, None, 0.0), (0.9, None, 0.4), (0.5, None, 0.7), (None, 1.0, 0.15), (None, 0.7, 0.2), (0.5, 0.7, 0.9)],
)
def test_what_is_served_is_the_calls_that_reach_the_thresholds(
    threshold: float | None, head_threshold: float | None, share: float
) -> None:
    assert new().share(threshold, head_threshold) == share


def test_a_threshold_that_no_confidence_reaches_serves_nothing() -> None:
    assert new().share(2.0, None) == 0.0


@pytest.mark.parametrize(
    ("withheld", "share"),
    [
        (Withheld(answers={"a": ALWAYS}), 0.4),
        (Withheld(answers={"a": 0.6}), 0.7),
        (Withheld(answers={"a": 0.9}), 0.4),
        (Withheld(answers={"unheard of": ALWAYS}), 0.9),
        (Withheld(inputs=("often",)), 0.75),
        (Withheld(inputs=("often", "unsure")), 0.7),
    ],
)
def test_what_is_withheld_is_not_served(withheld: Withheld, share: float) -> None:
    assert new().share(0.5, 0.7, withheld) == share


def test_it_tells_how_often_an_answer_is_surer_than_a_confidence() -> None:
    reach = new()
    assert [reach.calls_above("a", confidence) for confidence in (0.9, 0.5, 0.1)] == [0, 30, 50]
    assert [reach.calls_served("a", confidence) for confidence in (0.9, 0.5)] == [30, 50]
    assert reach.calls_above("unheard of", 0.1) == reach.calls_served("unheard of", 0.1) == 0


def test_without_calls_nothing_is_served() -> None:
    assert ExpectedCoverage([0.5]).share(0.5, 0.5) == ExpectedCoverage([0.5]).head_share == 0.0


def test_a_student_that_serves_all_serves_one_and_no_hair_less() -> None:
    reach = ExpectedCoverage([0.5])
    for _ in range(49):
        reach.add_tail_call(0.9, "a", 1 / 49)
    assert reach.share(0.5, None) == 1.0


def test_the_share_of_the_head_is_by_call() -> None:
    assert new().head_share == 0.2


def test_state_round_trips() -> None:
    reach = new()
    restored = ExpectedCoverage.from_state(json.loads(json.dumps(reach.state())))
    for one in (reach, restored):
        one.add_tail_call(0.95, "c", 7)
        one.add_head_call("often", 0.9, 1)
    assert restored == reach


@pytest.mark.parametrize(
    ("sure", "found"),
    [
        ([], []),
        ([0.0], []),
        ([1.0, 1.0, 0.3, 0.0], [1.0, 0.3]),
        ([0.1 * number for number in range(1, 11)], [1.0, 0.7, 0.4, 0.1]),
    ],
)
def test_thresholds_of_the_head_are_few(sure: list[float], found: list[float]) -> None:
    assert head_thresholds(sure) == pytest.approx(found)
