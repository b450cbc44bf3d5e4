"""Find subgroups of the calls, such as tenants, on which a student agrees too rarely."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np

from understudies.persistence.arrays import FloatArray
from understudies.persistence.fields import NegatedList
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.gate import REJECT_BETS, check_verdict

_BETS = np.array(REJECT_BETS)[:, None]


class SubgroupMonitor(SavedState):
    """One betting e-process for each subgroup and threshold, against "it agrees at least `p_null`".

    A guarantee over all calls still allows a tenant with 13% of them on which the student agrees only 80%. e-BH selects
    the subgroups to withhold: of K subgroups the k with the largest e-values, for the largest k at which the smallest
    of these is at least K / (k * alpha). It bounds the expected share of subgroups withheld without cause by `alpha`
    under any dependence between the subgroups, as when a call belongs to several.

    Parameters
    ----------
    confidences
        The candidate thresholds, strictest first.
    p_null
        The agreement required of a subgroup, in [0, 1).
    alpha
        Bound on the false discovery rate.
    max_groups
        Maximum number of monitored subgroups; verdicts of those that appear later are counted in `skipped`.

    References
    ----------
    Wang and Ramdas (2022), "False discovery rate control with e-values", JRSS B 84(3). Waudby-Smith and Ramdas (2024),
    JRSS B 86(1), for the bets.

    Raises
    ------
    ValueError
        When p_null or alpha is out of range.

    Examples
    --------
    >>> groups = SubgroupMonitor([0.5], p_null=0.9)
    >>> for call in range(60):
    ...     groups.add(["tenant=acme"], float(call % 2), confidence=0.8)
    ...     groups.add(["tenant=bolt"], 1.0, confidence=0.8)
    >>> groups.failing_groups(0.5)
    ['tenant=acme']
    """

    p_null: float
    alpha: float
    max_groups: Annotated[int, Key("most")]
    skipped: Annotated[int, Key("unwatched")]
    _negated_confidences: Annotated[NegatedList, Key("confidences")]
    _logs: dict[str, FloatArray]
    _counts: dict[str, FloatArray]

    def __init__(
        self, confidences: Sequence[float], *, p_null: float, alpha: float = 0.05, max_groups: int = 500
    ) -> None:
        if not 0.0 <= p_null < 1.0:
            raise ValueError(f"p_null must lie in [0, 1), got {p_null!r}")
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
        self.p_null, self.alpha, self.max_groups = p_null, alpha, max_groups
        self.skipped = 0
        self._negated_confidences = [-confidence for confidence in confidences]
        self._logs = {}
        self._counts = {}

    def without_verdicts(self) -> SubgroupMonitor:
        """Return a monitor of the same thresholds without any verdict."""
        confidences = [-negated for negated in self._negated_confidences]
        return SubgroupMonitor(confidences, p_null=self.p_null, alpha=self.alpha, max_groups=self.max_groups)

    def add(self, groups: Iterable[str], score: float, confidence: float) -> None:
        """Feed one verdict to the subgroups of its call; raise ValueError if the score is out of range."""
        check_verdict(score)
        first = bisect_left(self._negated_confidences, -confidence)
        step = np.log1p(_BETS * ((1.0 - score) / (1.0 - self.p_null) - 1.0))
        for group in groups:
            if group not in self._logs:
                if len(self._logs) >= self.max_groups:
                    self.skipped += 1
                    continue
                self._logs[group] = np.zeros((len(REJECT_BETS), len(self._negated_confidences)))
                self._counts[group] = np.zeros((2, len(self._negated_confidences)))
            self._logs[group][:, first:] += step
            self._counts[group][0, first:] += 1.0
            self._counts[group][1, first:] += score

    def failing_groups(self, confidence: float) -> list[str]:
        """Return the subgroups to withhold when the student serves from a candidate's confidence on, sorted."""
        index = bisect_left(self._negated_confidences, -confidence)
        if index == len(self._negated_confidences):
            return []
        evidence = sorted(((self._log_e(name, index), name) for name in self._logs), reverse=True)
        total = len(evidence)
        passed = [k for k, (log, _) in enumerate(evidence, start=1) if log >= math.log(total / (k * self.alpha))]
        return sorted(name for _, name in evidence[: max(passed, default=0)])

    def counts(self, group: str, confidence: float) -> tuple[float, int]:
        """Return the sum of scores and the number of verdicts of a subgroup from a candidate's confidence on."""
        index = bisect_left(self._negated_confidences, -confidence)
        counts = self._counts.get(group)
        return (
            (0.0, 0)
            if counts is None or index == len(self._negated_confidences)
            else (counts[1, index], int(counts[0, index]))
        )

    def _log_e(self, name: str, index: int) -> float:
        logs = self._logs[name][:, index]
        top = float(logs.max())
        return top + math.log(float(np.exp(logs - top).mean()))
