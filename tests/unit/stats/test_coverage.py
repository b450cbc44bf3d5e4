"""Candidate thresholds, the risk-coverage curve and the ideal coverage."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.coverage import (
    CANDIDATE_COVERAGES,
    COVERAGES,
    Threshold,
    coverage_thresholds,
    ideal_coverage,
    risk_coverage,
    sequence_start,
    thin_thresholds,
)

confidences = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=60)


def test_candidates_are_the_coverages_of_the_design() -> None:
    assert tuple(i / 20 for i in range(2, 21)) == COVERAGES
    assert tuple(i / 100 for i in range(10, 101)) == CANDIDATE_COVERAGES


def test_distinct_confidences_give_each_coverage_exactly() -> None:
    found = coverage_thresholds([i / 1000 for i in range(1000)])

    assert [threshold.coverage for threshold in found] == list(COVERAGES)
    assert found[0].confidence == 0.9
    assert found[-1].confidence == 0.0


def test_ties_are_all_in_and_duplicates_merge() -> None:
    found = coverage_thresholds([1.0] * 70 + [0.5] * 30)

    assert [(t.confidence, t.coverage) for t in found] == [(1.0, 0.7), (0.5, 1.0)]


@settings(deadline=None)
@given(confidences)
def test_thresholds_fall_and_state_the_coverage_they_have(values: list[float]) -> None:
    found = coverage_thresholds(values)

    assert [t.confidence for t in found] == sorted({t.confidence for t in found}, reverse=True)
    for threshold in found:
        assert threshold.coverage == sum(value >= threshold.confidence for value in values) / len(values)
    assert found[-1].coverage == 1.0


@settings(deadline=None)
@given(confidences, st.sampled_from(COVERAGES))
def test_a_threshold_is_the_strictest_that_reaches_its_coverage(values: list[float], coverage: float) -> None:
    (found,) = coverage_thresholds(values, [coverage])
    stricter = sum(value > found.confidence for value in values) / len(values)

    assert stricter < coverage <= found.coverage + 1e-9


def test_no_confidences_give_no_thresholds() -> None:
    assert coverage_thresholds([]) == []
    assert risk_coverage([], []) == []
    assert ideal_coverage([], []) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40))
def test_the_curve_ends_at_the_overall_agreement(pairs: list[tuple[float, float]]) -> None:
    curve = risk_coverage([c for c, _ in pairs], [s for _, s in pairs])

    assert curve[-1].coverage == 1.0
    assert curve[-1].agreement == pytest.approx(sum(s for _, s in pairs) / len(pairs))
    for point in curve:
        served = [s for c, s in pairs if c >= point.confidence]
        assert point.coverage == len(served) / len(pairs)
        assert point.agreement == pytest.approx(sum(served) / len(served))


def test_ideal_coverage_may_lie_beyond_a_dip() -> None:
    curve = [1.0] * 10 + [0.0] + [1.0] * 9

    assert ideal_coverage([-float(i) for i in range(20)], curve, p0=0.95) == 1.0
    assert ideal_coverage([-float(i) for i in range(20)], curve, p0=0.96) == 0.5


@pytest.mark.parametrize("coverage", [0.0, 1.1, math.nan])
def test_refuses_an_impossible_coverage(coverage: float) -> None:
    with pytest.raises(ValueError, match=f"{coverage!r}"):
        coverage_thresholds([0.5], [coverage])


def test_refuses_confidences_and_scores_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="NaN"):
        coverage_thresholds([0.5, math.nan])
    with pytest.raises(ValueError, match="2 confidences do not match 1 scores"):
        risk_coverage([0.5, 0.6], [1.0])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        risk_coverage([0.5], [1.5])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        risk_coverage([0.5], [math.nan])


CANDIDATES = [Threshold(0.8, 0.2), Threshold(0.5, 0.5), Threshold(0.0, 1.0)]


def seen(*bands: tuple[float, int, int]) -> tuple[list[float], list[float]]:
    """Confidences and scores: at a confidence so many calls, of which so many agree."""
    calls = [(confidence, float(number < agree)) for confidence, n, agree in bands for number in range(n)]
    return [confidence for confidence, _ in calls], [score for _, score in calls]


@pytest.mark.parametrize(
    ("bands", "start"),
    [
        (((0.9, 100, 100), (0.6, 100, 100), (0.1, 100, 100)), 1),
        (((0.9, 100, 100), (0.6, 100, 100), (0.1, 100, 80)), 1),
        (((0.9, 100, 100), (0.6, 100, 80), (0.1, 100, 80)), 0),
    ],
)
def test_the_sequence_starts_at_half_of_what_could_be_served(
    bands: tuple[tuple[float, int, int], ...], start: int
) -> None:
    assert sequence_start(CANDIDATES, *seen(*bands), 0.95) == start


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9, 1.0]), st.booleans()), max_size=60),
    confidences,
)
def test_the_start_is_the_strictest_candidate_with_half_of_the_ideal_coverage(
    judged: list[tuple[float, bool]], unlabelled: list[float]
) -> None:
    candidates = coverage_thresholds(unlabelled, CANDIDATE_COVERAGES)
    sure, scores = [confidence for confidence, _ in judged], [float(agreed) for _, agreed in judged]
    # Of fewer than 100 verdicts, at most 30% of the calls.
    half = min(0.3, ideal_coverage(sure, scores, 0.9) / 2)
    start = sequence_start(candidates, sure, scores, 0.9)

    if not half:
        assert start is None
    else:
        assert start is not None
        assert candidates[start].coverage >= half - 1e-9
        assert all(one.coverage < half for one in candidates[:start])


def test_by_few_verdicts_the_sequence_starts_at_30_percent_at_most() -> None:
    candidates = [Threshold(1 - step / 10, step / 10) for step in range(1, 11)]
    few, enough = (sequence_start(candidates, *seen((0.9, n, n)), 0.95) for n in (99, 100))
    assert (few, enough) == (2, 4)


@pytest.mark.parametrize("bands", [(), ((0.9, 100, 94),), ((0.9, 40, 20), (0.1, 40, 39))])
def test_where_no_share_looks_good_enough_there_is_no_start(bands: tuple[tuple[float, int, int], ...]) -> None:
    assert sequence_start(CANDIDATES, *seen(*bands), 0.95) is None


def test_without_a_candidate_that_covers_half_there_is_no_start() -> None:
    assert sequence_start(CANDIDATES[:1], *seen((0.9, 100, 100)), 0.95) is None
    assert sequence_start([], *seen((0.9, 100, 100)), 0.95) is None


def test_a_start_needs_a_score_for_each_confidence() -> None:
    with pytest.raises(ValueError, match="2 confidences do not match 1 scores"):
        sequence_start(CANDIDATES, [0.1, 0.2], [1.0], 0.95)
    with pytest.raises(ValueError, match="NaN"):
        sequence_start(CANDIDATES, [math.nan], [1.0], 0.95)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=200), st.sampled_from([0.01, 0.05, 0.2, 1.0]))
def test_thinned_candidates_are_as_far_apart_as_asked_with_both_ends(values: list[float], step: float) -> None:
    candidates = coverage_thresholds(values, CANDIDATE_COVERAGES)
    thinned = thin_thresholds(candidates, step)

    assert [one for one in candidates if one in thinned] == thinned
    assert (thinned[:1], thinned[-1:]) == (candidates[:1], candidates[-1:])
    gaps = [b.coverage - a.coverage for a, b in pairwise(thinned)]
    assert all(gap >= step - 1e-6 for gap in gaps[:-1])
    for left_out in set(candidates) - set(thinned):
        kept = max(one.coverage for one in thinned if one.coverage < left_out.coverage)
        assert left_out.coverage - kept < step


def test_candidates_of_every_hundredth_are_thinned_to_every_twentieth() -> None:
    candidates = coverage_thresholds([i / 1000 for i in range(1000)], CANDIDATE_COVERAGES)
    assert [one.coverage for one in thin_thresholds(candidates)] == list(COVERAGES)
    assert thin_thresholds([]) == []
