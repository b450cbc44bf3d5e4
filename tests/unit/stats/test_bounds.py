"""Confidence bounds against the binomial tails, and the anytime bound against the gate that it inverts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from understudies.stats.bounds import (
    anytime_lower_bound,
    clopper_pearson_lower,
    clopper_pearson_upper,
    promote_log_e,
)
from understudies.stats.gate import Gate

COUNTS = [(0, 1), (1, 1), (1, 2), (19, 20), (79, 79), (970, 1000), (4750, 5000), (1, 10**6), (950_123, 10**6)]


@pytest.mark.parametrize(("agree", "n"), COUNTS)
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.5])
def test_clopper_pearson_matches_scipy(agree: int, n: int, alpha: float) -> None:
    exact = stats.binomtest(agree, n)
    lower = exact.proportion_ci(1 - 2 * alpha).low if alpha < 0.5 else stats.beta.ppf(0.5, agree, n - agree + 1)
    upper = exact.proportion_ci(1 - 2 * alpha).high if alpha < 0.5 else stats.beta.ppf(0.5, agree + 1, n - agree)

    assert clopper_pearson_lower(agree, n, alpha) == pytest.approx(lower if agree else 0.0, rel=1e-8, abs=1e-12)
    assert clopper_pearson_upper(agree, n, alpha) == pytest.approx(upper if agree < n else 1.0, rel=1e-8, abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.integers(1, 3000), st.integers(0, 3000))
def test_at_its_bounds_what_was_seen_or_more_extreme_has_probability_alpha(alpha: float, agree: int, fail: int) -> None:
    n = agree + fail
    lower, upper = clopper_pearson_lower(agree, n, alpha), clopper_pearson_upper(fail, n, alpha)
    assert stats.binom.sf(agree - 1, n, lower) == pytest.approx(alpha, rel=1e-6)
    assert stats.binom.cdf(fail, n, upper) == pytest.approx(alpha, rel=1e-6)


@pytest.mark.parametrize("bound", [clopper_pearson_lower, clopper_pearson_upper, anytime_lower_bound])
@pytest.mark.parametrize(("agree", "n", "alpha"), [(2, 1, 0.05), (-1, 1, 0.05), (1, 2, 0.0), (1, 2, math.nan)])
def test_bounds_refuse_impossible_counts_and_levels(bound: object, agree: int, n: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="got"):
        bound(agree, n, alpha)  # type: ignore[operator]  # parametrised over plain functions


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 20))
def test_anytime_bound_is_where_the_evidence_equals_one_over_alpha(agree: int, failures: int) -> None:
    n = agree + failures
    bound = anytime_lower_bound(agree, n)

    assert promote_log_e(agree, n, bound) == pytest.approx(math.log(20), abs=1e-6)
    assert promote_log_e(agree, n, min(1.0, bound + 1e-6)) < math.log(20)


@settings(deadline=None)
@given(st.integers(0, 600), st.integers(0, 40), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_a_gate_promotes_exactly_when_the_anytime_bound_reaches_p0(agree: int, failures: int, p0: float) -> None:
    promotes = Gate.from_counts(agree, agree + failures, p0=p0).decision == "promote"

    assert promotes == (anytime_lower_bound(agree, agree + failures) >= p0)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(0, 50))
def test_the_anytime_bound_pays_for_its_validity(agree: int, failures: int) -> None:
    n = agree + failures

    assert anytime_lower_bound(agree, n) <= clopper_pearson_lower(agree, n) + 1e-12
    assert anytime_lower_bound(agree, n) <= anytime_lower_bound(agree + 1, n + 1)
    assert anytime_lower_bound(agree, n + 1) <= anytime_lower_bound(agree, n)


def test_the_anytime_bound_covers_at_all_times_together() -> None:
    # The bound exceeds p exactly when the evidence against p reaches 20, so counting that is counting failures.
    rng = np.random.default_rng(5)
    p, runs, n = 0.9, 2000, np.arange(1, 1001)
    agree = np.cumsum(rng.random((runs, n.size)) < p, axis=1)
    bets = np.array([0.2, 0.4, 0.6, 0.8])
    wealth = np.where(agree == n, np.exp(agree * math.log(1 / p)), 0.0)
    for bet in bets.tolist():
        wealth += np.exp(agree * math.log1p(bet * (1 / p - 1)) + (n - agree) * math.log1p(-bet))
    ever = np.mean((wealth / 5 >= 20).any(axis=1))

    assert ever <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    row = int(np.argmax((wealth / 5 >= 20).any(axis=1)))
    first = int(np.argmax(wealth[row] / 5 >= 20))
    assert anytime_lower_bound(int(agree[row, first]), first + 1) >= p
    assert anytime_lower_bound(int(agree[row, first - 1]), first) < p
