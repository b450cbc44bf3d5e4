"""Selective routing: a gate for every candidate threshold, under one error budget."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from understudies.persistence.arrays import FloatArray, LogWealthArray
from understudies.persistence.saved_state import SavedState
from understudies.stats.coverage import PassedThreshold, ScoredCall, Threshold, ThresholdEvidence, check_thresholds
from understudies.stats.fallback import check_weights, fallback_levels, fallback_weights
from understudies.stats.gate import (
    PROMOTE_BETS,
    REJECT_BETS,
    GateState,
    check_parameters,
    check_verdict,
    log_increments,
    log_mean_exp,
    saturating_exp,
)

_PROMOTE = np.array(PROMOTE_BETS)[:, None]


class SelectiveGate(SavedState):
    """Choose the confidence from which a student may serve, valid at every look.

    Every verdict feeds the promote bets of each candidate threshold that its confidence reaches. The inverse of a
    gate's running maximum M_j is a p-value that stays valid at all times, and the fallback procedure spends `alpha`
    over the candidates from strictest to loosest. So with probability at least `1 - alpha`, over all looks together, no
    threshold ever passes whose served calls agree less than `p0`.

    The candidates must be fixed before any label is seen. Verdicts must be unbiased (sampled independently of the
    student's confidence, or weighted) and one per distinct input; the calls of one conversation are one `bet`. Where
    verdicts have timestamps, build the gate with `at_marks=True` and call `mark` at whole days: the maxima then never
    capture only the easy half of a day.

    Unlike `Gate` this is mutable: one verdict touches 19 gates of five bets each, and updating the arrays in place
    costs a tenth of copying values. It remains a fold: the same verdicts give the same state.

    Parameters
    ----------
    thresholds
        Candidates from strictest to loosest, in strictly descending confidence.
    p0, alpha, beta
        As for `Gate`.
    n_max
        The number of bets after which a student that passed no threshold is inconclusive.
    weights
        Shares of the error budget, strictest threshold first, fixed before any verdict; by default one half for the
        strictest and the rest evenly. `sequence_weights` tests in a fixed sequence instead.
    at_marks
        Whether evidence counts only when `mark` is called, instead of after every verdict.

    Raises
    ------
    ValueError
        When there are no thresholds, their confidences do not descend, or a parameter is out of range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), JRSS B 86(1); Wiens and Dmitrienko (2005), Journal of Biopharmaceutical
    Statistics 15(6); Ramdas, Grünwald, Vovk and Shafer (2023), "Game-theoretic statistics and safe anytime-valid
    inference", Statistical Science 38(4), for running maxima as p-values.

    Examples
    --------
    >>> gate = SelectiveGate([Threshold(0.9, 0.5), Threshold(0.1, 1.0)])
    >>> for _ in range(100):
    ...     gate.update(1.0, confidence=0.95)
    >>> gate.decision, gate.loosest_passed
    ('promote', PassedThreshold(index=1, confidence=0.1, coverage=1.0))
    """

    thresholds: tuple[Threshold, ...]
    p0: float
    alpha: float
    beta: float
    n_max: int
    at_marks: bool
    weights: list[float]
    n: int
    calls: int
    _marked_n: int
    _counts: FloatArray
    _promote: LogWealthArray
    _reject: list[float]
    _max_promote: FloatArray
    _max_reject: float

    def __init__(
        self,
        thresholds: Sequence[Threshold],
        *,
        p0: float = 0.95,
        alpha: float = 0.05,
        beta: float = 0.05,
        n_max: int = 5000,
        weights: Sequence[float] | None = None,
        at_marks: bool = False,
    ) -> None:
        self.thresholds = tuple(thresholds)
        self.p0, self.alpha, self.beta, self.n_max = p0, alpha, beta, n_max
        self.at_marks = at_marks
        self.n = 0
        self.calls = 0
        size = len(self.thresholds)
        self.weights = fallback_weights(size) if weights is None else list(weights)
        # Rows: bets, the calls in them, and the agreeing calls.
        self._counts = np.zeros((3, size))
        self._promote = np.zeros((len(PROMOTE_BETS), size))
        self._reject = [0.0] * len(REJECT_BETS)
        self._max_promote = np.zeros(size)
        self._max_reject = 0.0
        self._marked_n = 0
        self._on_restored()

    def _on_restored(self) -> None:
        check_parameters(self.p0, self.alpha, self.beta, self.n_max)
        check_thresholds(self.thresholds)
        check_weights(self.weights, len(self.thresholds))
        self._negated_confidences = [-threshold.confidence for threshold in self.thresholds]
        self._increment_cache = dict[tuple[float, float], tuple[npt.NDArray[np.float64], tuple[float, ...]]]()

    def update(
        self,
        score: float,
        confidence: float,
        *,
        weight: float = 1.0,
        w_max: float = 1.0,
    ) -> None:
        """Feed one verdict to every threshold that its confidence reaches.

        Parameters
        ----------
        score
            Agreement in [0, 1], usually 0 or 1.
        confidence
            The student's confidence in that answer, on the scale of the thresholds.
        weight, w_max
            As for `Gate.update`.

        Raises
        ------
        ValueError
            When the score or weight is out of range or the confidence is NaN.
        """
        check_verdict(score, weight, w_max)
        if math.isnan(confidence):
            raise ValueError(f"confidence must be a number, got {confidence!r}")
        self.n += 1
        self.calls += 1
        first = bisect_left(self._negated_confidences, -confidence)
        if first < len(self._negated_confidences):
            promote, reject = self._increments(score, weight / w_max)
            self._promote[:, first:] += promote
            self._counts[:2, first:] += 1.0
            self._counts[2, first:] += score
            if first == 0:
                self._reject = [log + step for log, step in zip(self._reject, reject, strict=True)]
        if not self.at_marks:
            self._count_evidence(first)

    def bet(self, calls: Sequence[ScoredCall], *, w_max: float) -> None:
        """Feed all calls of one conversation or episode as one bet, on the sum over those that reach a threshold.

        If `n` calls reach a threshold and `s` is the sum of their scores, a promote bet u is multiplied by ``1 + u * (s
        / p0 - n) / w_max`` and a reject bet r by ``1 + r * ((n - s) / (1 - p0) - n) / w_max``: the weighted bet on the
        mean s / n, with weight n. A single call at `w_max` 1 is `update`.

        Validity: both factors are never negative, as n is at most `w_max`, and if agreement per call is at most p0, E[s
        - p0 * n] <= 0 and the promote factor has mean at most 1, however the calls of one conversation depend on each
        other. The test is of agreement *per call*, E[s] / E[n]: a conversation weighs as many calls as it has. One bet
        for each call would treat dependent answers as independent.

        Parameters
        ----------
        calls
            At least one, at most `w_max`.
        w_max
            An upper bound on the calls of a bet, fixed before any label was seen and the same for every bet.

        Raises
        ------
        ValueError
            When a score is out of range, a confidence is NaN, or there are no calls or more than `w_max`.

        References
        ----------
        Waudby-Smith and Ramdas (2024), JRSS B 86(1), for bets on bounded means; statistics.md, section 1, for weights.

        Examples
        --------
        >>> gate = SelectiveGate([Threshold(0.1, 1.0)])
        >>> for conversation in range(79):
        ...     gate.bet([ScoredCall(1.0, 0.9), ScoredCall(1.0, 0.5), ScoredCall(1.0, 0.7)], w_max=3)
        >>> gate.decision, gate.n, gate.calls
        ('promote', 79, 237)
        """
        if not 1 <= len(calls) <= w_max:
            raise ValueError(f"a bet takes 1 to w_max={w_max!r} calls, got {len(calls)}")
        if len(calls) == 1:
            self.update(*calls[0], w_max=w_max)
            return
        first_indices = [self._first_reached(call) for call in calls]
        self.n += 1
        self.calls += len(calls)
        reached = np.zeros((3, len(self.thresholds)))
        for call, first in zip(calls, first_indices, strict=True):
            reached[0, first:] = 1.0
            reached[1, first:] += 1.0
            reached[2, first:] += call.score
        self._counts += reached
        n, s = reached[1:]
        with np.errstate(divide="ignore"):
            self._promote += np.log(np.maximum(1.0 + _PROMOTE * ((s / self.p0 - n) / w_max), 0.0))
        loss = float((n[0] - s[0]) / (1.0 - self.p0) - n[0]) / w_max
        self._reject = [log + math.log1p(bet * loss) for log, bet in zip(self._reject, REJECT_BETS, strict=True)]
        if not self.at_marks:
            self._count_evidence(min(first_indices))

    def _first_reached(self, call: ScoredCall) -> int:
        """Return the index of the strictest threshold that a call reaches."""
        check_verdict(call.score)
        if math.isnan(call.confidence):
            raise ValueError(f"confidence must be a number, got {call.confidence!r}")
        return bisect_left(self._negated_confidences, -call.confidence)

    def mark(self) -> None:
        """Count the evidence so far; with `at_marks`, call it at whole days only."""
        self._count_evidence(0)

    @property
    def passed_flags(self) -> list[bool]:
        """For each threshold, strictest first, whether it has passed."""
        return [passed for _, passed in self._levels()]

    @property
    def loosest_passed(self) -> PassedThreshold | None:
        """The loosest threshold that has passed; None if there is none."""
        passing = self.passed_flags
        if not any(passing):
            return None
        index = max(place for place, passed in enumerate(passing) if passed)
        threshold = self.thresholds[index]
        return PassedThreshold(index, threshold.confidence, threshold.coverage)

    @property
    def decision(self) -> GateState:
        """Reject by the strictest threshold, promote at `loosest_passed`, or inconclusive after `n_max` bets."""
        if self.is_rejected:
            return "reject"
        if self.loosest_passed is not None:
            return "promote"
        return "inconclusive" if self.is_exhausted else "continue"

    @property
    def is_rejected(self) -> bool:
        """Return whether even the strictest threshold is shown to agree less than `p0`."""
        return self._max_reject >= -math.log(self.beta)

    @property
    def is_exhausted(self) -> bool:
        """Return whether `n_max` bets have been counted."""
        return self._marked_n >= self.n_max

    @property
    def reject_e(self) -> float:
        """The largest evidence so far that even the strictest threshold agrees less than `p0`."""
        return saturating_exp(self._max_reject)

    def agreement_counts(self, index: int) -> tuple[int, int]:
        """Return the agreements and bets at a candidate.

        A conversation counts once, as the share of its calls that agreed.
        """
        bets, calls, agreed = self._counts[:, index].tolist()
        return (round(agreed / calls * bets) if calls else 0), int(bets)

    def evidence(self) -> list[ThresholdEvidence]:
        """Return the counts, empirical agreement and test result of every candidate, strictest first."""
        return [
            ThresholdEvidence(
                threshold.confidence,
                threshold.coverage,
                int(n),
                int(calls),
                float(total / calls) if calls else None,
                saturating_exp(float(log)),
                level,
                passed,
            )
            for threshold, n, calls, total, log, (level, passed) in zip(
                self.thresholds,
                *self._counts,
                self._max_promote,
                self._levels(),
                strict=True,
            )
        ]

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot written before there were bets of several calls, which counted verdicts only."""
        counts = state["counts"]
        return {
            **state,
            "calls": state.get("calls", state["n"]),
            "counts": counts if len(counts) == 3 else [counts[0], *counts],
            "weights": state.get("weights") or fallback_weights(len(state["thresholds"])),
        }

    def _levels(self) -> list[tuple[float, bool]]:
        return list(fallback_levels(np.exp(-self._max_promote).tolist(), self.alpha, self.weights))

    def _count_evidence(self, first: int) -> None:
        self._marked_n = self.n
        if first == len(self.thresholds):
            return
        logs = self._promote[:, first:]
        top = np.maximum.reduce(logs, axis=0)
        wealth = top + np.log(np.add.reduce(np.exp(logs - top), axis=0) / len(PROMOTE_BETS))
        maxima = self._max_promote[first:]
        np.maximum(maxima, wealth, out=maxima)
        if first == 0:
            self._max_reject = max(self._max_reject, log_mean_exp(self._reject))

    def _increments(self, score: float, scale: float) -> tuple[npt.NDArray[np.float64], tuple[float, ...]]:
        # Verdicts are mostly 0 or 1 with weight 1, so a few entries serve nearly every call.
        cached = self._increment_cache.get((score, scale))
        if cached is None:
            promote, reject = log_increments(score, self.p0, scale)
            cached = np.array(promote)[:, None], reject
            if len(self._increment_cache) < 64:
                self._increment_cache[score, scale] = cached
        return cached
