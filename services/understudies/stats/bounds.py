"""Confidence bounds for an agreement counted as `agree` of `n`."""

from __future__ import annotations

import math
from collections.abc import Callable

from understudies.stats.gate import PROMOTE_BETS, log_mean_exp


def clopper_pearson_lower(agree: int, n: int, alpha: float = 0.05) -> float:
    """Return the one-sided exact lower bound of a binomial probability with confidence `1 - alpha`.

    Valid for one sample of a size fixed in advance, not for one that was stopped depending on its results: for that,
    see `anytime_lower_bound`.

    Parameters
    ----------
    agree, n
        Successes and trials, 0 <= agree <= n.
    alpha
        Probability, at most, that the bound exceeds the truth.

    Raises
    ------
    ValueError
        When the counts or alpha are out of range.

    References
    ----------
    Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26(4).

    Examples
    --------
    >>> round(clopper_pearson_lower(95, 100), 4)
    0.8977
    >>> clopper_pearson_lower(0, 100)
    0.0
    """
    _check(agree, n, alpha)
    return _beta_quantile(alpha, agree, n - agree + 1) if agree else 0.0


def clopper_pearson_upper(agree: int, n: int, alpha: float = 0.05) -> float:
    """Return the one-sided exact upper bound of a binomial probability with confidence `1 - alpha`.

    Parameters, errors and reference as for `clopper_pearson_lower`.

    >>> round(clopper_pearson_upper(95, 100), 4)
    0.9801
    >>> clopper_pearson_upper(0, 0)
    1.0
    """
    _check(agree, n, alpha)
    return _beta_quantile(1.0 - alpha, agree + 1, n - agree) if agree < n else 1.0


def anytime_lower_bound(agree: int, n: int, alpha: float = 0.05) -> float:
    """Return the largest p that the promote bets of the gate still refute at `1 / alpha`, given `agree` of `n`.

    Guarantee: when binary verdicts of weight 1 arrive one by one, each agreeing with conditional probability p given
    the past, then with probability at least `1 - alpha` the bound stays at or below p at *all* times at once (E_p is a
    martingale, and the bound is at least p exactly when E_p >= 1 / alpha). So it holds at a fixed time, at a
    data-dependent stopping time, and for the running maximum of the bounds seen. A gate at `p0` promotes exactly when
    this bound is at least `p0`.

    Limits: when agreement drifts, a bound above p refutes only "it was never above p", not "it is above p now" nor "its
    mean is above p". Taking the best of several thresholds, students or slices of the same verdicts needs the selective
    gate. Weighted, fractional or repeated verdicts are not counts.

    Parameters
    ----------
    agree, n
        Agreements among all verdicts of the stream so far.
    alpha
        Probability, at most, that the bound ever exceeds p.

    Raises
    ------
    ValueError
        When the counts or alpha are out of range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1).

    Examples
    --------
    >>> anytime_lower_bound(78, 78) < 0.95 < anytime_lower_bound(79, 79)
    True
    """
    _check(agree, n, alpha)
    if agree == 0:
        return 0.0
    needed = -math.log(alpha)
    return _bisect(lambda p: promote_log_e(agree, n, p) >= needed)


def promote_log_e(agree: int, n: int, p0: float) -> float:
    """Return the log promote evidence against "agreement is at most p0" from counts, for any p0 in (0, 1].

    >>> round(math.exp(promote_log_e(78, 78, 0.95)), 3)
    19.649
    """
    failures = n - agree
    logs = [agree * math.log1p(bet * (1.0 / p0 - 1.0)) for bet in PROMOTE_BETS]
    if failures:
        logs = [
            log + failures * math.log1p(-bet) if bet < 1.0 else -math.inf
            for log, bet in zip(logs, PROMOTE_BETS, strict=True)
        ]
    return log_mean_exp(logs)


def _beta_quantile(q: float, a: float, b: float) -> float:
    # Loaded on first use: processes that compute no bound need no scipy.
    from scipy.special import betaincinv

    return float(betaincinv(a, b, q))


def _bisect(holds: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while (middle := 0.5 * (low + high)) not in (low, high):
        if holds(middle):
            low = middle
        else:
            high = middle
        if high - low < 1e-16:
            break
    return low


def _check(agree: int, n: int, alpha: float) -> None:
    if not 0 <= agree <= n:
        raise ValueError(f"agree must lie in [0, n], got {agree!r} of {n!r}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
