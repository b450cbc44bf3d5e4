"""Candidate thresholds, the risk-coverage curve and the ideal coverage."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats import COVERAGES, ideal_coverage, risk_coverage, thresholds

confidences = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9, 1.0]), min_size=1, max_size=60)


def test_candidates_are_the_coverages_of_the_design() -> None:
    assert tuple(i / 20 for i in range(2, 21)) == COVERAGES


def test_distinct_confidences_give_each_coverage_exactly() -> None:
    found = thresholds([i / 1000 for i in range(1000)])

    assert [threshold.coverage for threshold in found] == list(COVERAGES)
    assert found[0].confidence == 0.9
    assert found[-1].confidence == 0.0


def test_ties_are_all_in_and_duplicates_merge() -> None:
    found = thresholds([1.0] * 70 + [0.5] * 30)

    assert [(t.confidence, t.coverage) for t in found] == [(1.0, 0.7), (0.5, 1.0)]


@settings(deadline=None)
@given(confidences)
def test_thresholds_fall_and_state_the_coverage_they_have(values: list[float]) -> None:
    found = thresholds(values)

    assert [t.confidence for t in found] == sorted({t.confidence for t in found}, reverse=True)
    for threshold in found:
        assert threshold.coverage == sum(value >= threshold.confidence for value in values) / len(values)
    assert found[-1].coverage == 1.0


@settings(deadline=None)
@given(confidences, st.sampled_from(COVERAGES))
def test_a_threshold_is_the_strictest_that_reaches_its_coverage(values: list[float], coverage: float) -> None:
    (found,) = thresholds(values, [coverage])
    stricter = sum(value > found.confidence for value in values) / len(values)

    assert stricter < coverage <= found.coverage + 1e-9


def test_no_confidences_give_no_thresholds() -> None:
    assert thresholds([]) == []
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
        thresholds([0.5], [coverage])


def test_refuses_confidences_and_scores_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="NaN"):
        thresholds([0.5, math.nan])
    with pytest.raises(ValueError, match="2 confidences do not match 1 scores"):
        risk_coverage([0.5, 0.6], [1.0])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        risk_coverage([0.5], [1.5])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        risk_coverage([0.5], [math.nan])
