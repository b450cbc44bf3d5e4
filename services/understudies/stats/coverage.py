"""Confidence thresholds and their trade-off between coverage and agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

COVERAGES: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(2, 21))
"""Coverages at which risk-coverage curves are shown."""
CANDIDATE_COVERAGES: tuple[float, ...] = tuple(round(0.01 * step, 2) for step in range(10, 101))
"""Coverages of the candidate thresholds of a gate: in a fixed sequence, more of them cost no error budget."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A confidence from which a student would serve, and the share of calls that reach it."""

    confidence: float
    coverage: float


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """A point of a risk-coverage curve: serving from `confidence` on, `agreement` is the mean score."""

    confidence: float
    coverage: float
    agreement: float


def coverage_thresholds(confidences: Sequence[float], coverages: Sequence[float] = COVERAGES) -> list[Threshold]:
    """Return candidate thresholds at the given coverages, fixed before any label is seen.

    Each is the highest confidence that at least the wanted share of requests reaches. Requests with the same confidence
    are served together, so coinciding thresholds are merged and each coverage is the actual one.

    Parameters
    ----------
    confidences
        The student's confidence on unlabelled recorded requests, outside its training split.
    coverages
        Target shares of served calls, each in (0, 1].

    Returns
    -------
    list of Threshold
        From strictest to loosest; empty without confidences.

    Raises
    ------
    ValueError
        When a confidence is NaN or a coverage outside (0, 1].

    References
    ----------
    El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification", JMLR 11.

    Examples
    --------
    >>> coverage_thresholds([0.9, 0.8, 0.8, 0.1], coverages=[0.25, 0.5, 1.0])  # doctest: +NORMALIZE_WHITESPACE
    [Threshold(confidence=0.9, coverage=0.25), Threshold(confidence=0.8, coverage=0.75),
     Threshold(confidence=0.1, coverage=1.0)]
    """
    descending = np.sort(_confidences(confidences))[::-1]
    n = len(descending)
    for coverage in coverages:
        if not 0.0 < coverage <= 1.0:
            raise ValueError(f"a coverage must lie in (0, 1], got {coverage!r}")
    if n == 0:
        return []
    # 0.15 * 20 is slightly above 3 in floats; without the tolerance, the rank would be 4.
    ranks = [max(1, math.ceil(coverage * n - 1e-9)) for coverage in coverages]
    distinct = sorted({float(descending[rank - 1]) for rank in ranks}, reverse=True)
    return [Threshold(value, int(np.count_nonzero(descending >= value)) / n) for value in distinct]


_START_SHARE = 0.5
"""The part of the share that a student seems able to serve, at which the tests of its thresholds begin."""
_FEW_VERDICTS = 100
"""With fewer, what a student seems able to serve is often much more than it is."""
_CAUTIOUS_START = 0.30
"""The largest share at which to begin by few verdicts."""


def sequence_start(
    thresholds: Sequence[Threshold], confidences: Sequence[float], scores: Sequence[float], p0: float
) -> int | None:
    """Return the candidate at which to begin a fixed sequence of tests, by verdicts that the gate will never see.

    The first to cover half of what the student could serve by these verdicts, and at most 30% of the calls if they are
    fewer than 100: there it is surer than it must be, and enough calls reach it, so that it passes early; looser ones
    follow at the full error budget, see `sequence_weights`. The guess decides how soon, never how surely. None if no
    share looks good enough.

    Parameters
    ----------
    thresholds
        Candidates from strictest to loosest.
    confidences, scores
        The student's confidence and its agreement, in [0, 1], on calls that are never evidence for the gate.
    p0
        The agreement to prove.

    Raises
    ------
    ValueError
        When the lengths differ or a confidence is NaN.

    Examples
    --------
    >>> candidates = [Threshold(0.9, 0.2), Threshold(0.6, 0.4), Threshold(0.3, 0.7), Threshold(0.1, 1.0)]
    >>> sequence_start(candidates, [0.95] * 60 + [0.5] * 40, [1.0] * 60 + [0.0] * 40, 0.95)
    1
    """
    could_serve = ideal_coverage(confidences, scores, p0)
    if could_serve == 0.0:
        return None
    start = _START_SHARE * could_serve
    if len(scores) < _FEW_VERDICTS:
        start = min(start, _CAUTIOUS_START)
    covering = (index for index, one in enumerate(thresholds) if one.coverage >= start - 1e-9)
    return next(covering, None)


def thin_thresholds(thresholds: Sequence[Threshold], step: float = 0.05) -> list[Threshold]:
    """Return the strictest candidate, those that cover at least `step` more than the one before, and the loosest.

    >>> [one.coverage for one in thin_thresholds([Threshold(1 - c, c) for c in (0.1, 0.12, 0.15, 0.19, 0.21)])]
    [0.1, 0.15, 0.21]
    """
    thinned: list[Threshold] = []
    for threshold in thresholds:
        # 0.15 - 0.1 is slightly below 0.05 in floats.
        if not thinned or threshold.coverage - thinned[-1].coverage >= step - 1e-9:
            thinned.append(threshold)
    if thresholds and thinned[-1] != thresholds[-1]:
        thinned.append(thresholds[-1])
    return thinned


def risk_coverage(confidences: Sequence[float], scores: Sequence[float]) -> list[RiskPoint]:
    """Return the empirical risk-coverage curve: one point for each distinct confidence, strictest first.

    Parameters
    ----------
    confidences
        The student's confidence on each judged request.
    scores
        The verdicts' scores in [0, 1], in the same order.

    Raises
    ------
    ValueError
        When the lengths differ, a confidence is NaN or a score is outside [0, 1].

    References
    ----------
    El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification", JMLR 11.

    Examples
    --------
    >>> [(p.coverage, p.agreement) for p in risk_coverage([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0])]
    [(0.25, 1.0), (0.75, 0.6666666666666666), (1.0, 0.5)]
    """
    confidence, score = _confidences(confidences), np.asarray(scores, dtype=np.float64)
    if confidence.shape != score.shape:
        raise ValueError(f"{confidence.size} confidences do not match {score.size} scores")
    if score.size and not (score.min() >= 0.0 and score.max() <= 1.0):
        raise ValueError(f"scores must lie in [0, 1], got {score.min()!r} to {score.max()!r}")
    order = np.argsort(-confidence, kind="stable")
    confidence, agreed = confidence[order], np.cumsum(score[order])
    n = score.size
    ends = [i for i in range(n) if i + 1 == n or confidence[i] != confidence[i + 1]]
    return [RiskPoint(float(confidence[i]), (i + 1) / n, float(agreed[i] / (i + 1))) for i in ends]


def ideal_coverage(confidences: Sequence[float], scores: Sequence[float], p0: float = 0.95) -> float:
    """Return the largest empirical coverage whose agreement is at least `p0`; 0 if there is none.

    It chooses the threshold using the labels, so it is an upper reference for what a gate could reach, never a
    guarantee. Parameters and errors as for `risk_coverage`.

    >>> ideal_coverage([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0], p0=0.6)
    0.75
    """
    return max((p.coverage for p in risk_coverage(confidences, scores) if p.agreement >= p0), default=0.0)


def _confidences(values: Sequence[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if np.isnan(array).any():
        raise ValueError(f"confidences must be numbers, got NaN at {int(np.argmax(np.isnan(array)))!r}")
    return array


class ScoredCall(NamedTuple):
    """One call of a bet: the agreement score and the student's confidence."""

    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PassedThreshold:
    """The loosest threshold at which a student may serve, and its index among the candidates."""

    index: int
    confidence: float
    coverage: float


@dataclass(frozen=True, slots=True)
class ThresholdEvidence:
    """The counts and the test result of one candidate, for reports; decisions come from the gate.

    `n` counts bets and `calls` the calls in them, of which `agreement` is the mean; `max_e` is the running maximum of
    the promote evidence, `level` the error level at which it is tested now.
    """

    confidence: float
    coverage: float
    n: int
    calls: int
    agreement: float | None
    max_e: float
    level: float
    passed: bool


def check_thresholds(thresholds: Sequence[Threshold]) -> None:
    """Raise ValueError unless there are thresholds and their confidences strictly descend."""
    if not thresholds:
        raise ValueError("a selective gate needs at least one threshold, got none")
    for stricter, looser in pairwise(thresholds):
        if not stricter.confidence > looser.confidence:
            raise ValueError(f"thresholds must descend from strictest to loosest, got {stricter!r} before {looser!r}")
