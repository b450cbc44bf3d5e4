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


_PRIOR_VERDICTS = 20
"""Pseudo-verdicts at exactly p0, added to those seen, so that a few good ones do not raise the estimate much."""


def choose_aim(
    thresholds: Sequence[Threshold], confidences: Sequence[float], scores: Sequence[float], p0: float
) -> int | None:
    """Return the candidate whose gate is likely to pass first, by verdicts that the gate will never see.

    Evidence grows with the calls that reach a threshold times the divergence of their agreement from p0. The guess only
    decides how the error budget is allocated, see `aimed_weights`, so a wrong guess does not affect the guarantee. None
    if no candidate looks better than p0.

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

    References
    ----------
    Kelly (1956), "A new interpretation of information rate", for the growth of the best bet; Grünwald, de Heide and
    Koolen (2024), "Safe testing", JRSS B 86(5).

    Examples
    --------
    >>> choose_aim([Threshold(0.9, 0.5), Threshold(0.1, 1.0)], [0.95] * 60 + [0.5] * 60, [1.0] * 60 + [0.0] * 60, 0.95)
    0
    """
    confidence, score = _confidences(confidences), np.asarray(scores, dtype=np.float64)
    if confidence.shape != score.shape:
        raise ValueError(f"{confidence.size} confidences do not match {score.size} scores")
    growth = [_growth(score[confidence >= one.confidence], p0) * one.coverage for one in thresholds]
    best = max(range(len(growth)), key=growth.__getitem__, default=None)
    return None if best is None or growth[best] <= 0.0 else best


def _growth(scores: npt.NDArray[np.float64], p0: float) -> float:
    """Return the divergence of a cautious estimate of agreement from p0, in nats; 0 if the estimate is no better."""
    agreement = (float(scores.sum()) + _PRIOR_VERDICTS * p0) / (scores.size + _PRIOR_VERDICTS)
    if agreement <= p0:
        return 0.0
    return agreement * math.log(agreement / p0) + (1.0 - agreement) * math.log((1.0 - agreement) / (1.0 - p0))


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
