"""Agreement proven beyond p0: what a student may promise where it is surer than it needs to be."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from understudies.stats.bounds import promote_log_e
from understudies.stats.coverage import Threshold
from understudies.stats.drift import CONTRACT_RUN_LENGTH, Detector
from understudies.stats.gate import check_levels, check_verdict

LADDER: tuple[float, ...] = (0.90, 0.925, *(round(0.95 + 0.005 * step, 3) for step in range(10)), 0.998)
"""Agreements that are tried to be proven; those up to p0 are left out."""

Proven = tuple[tuple[float, float], ...]
"""Pairs of an agreement and the confidence from which it is proven, rising in both."""


class Levels:
    """Which agreement above `p0` is proven from which threshold on, valid at every look.

    Each threshold has one betting e-process for each rung of the ladder, all at the level `alpha / m` for `m`
    thresholds. The agreement from a threshold on is one number, and the evidence against "it is at most p" falls
    as p grows: whoever proves a rung too high has also proven the lowest rung that is too high. So all rungs of a
    threshold together err with probability at most `alpha / m`, and all pairs that are ever proven with at most
    `alpha`. Passing levels on from threshold to threshold, as the gates do at the one p0, has no such bound over
    several rungs.

    After the switch audited verdicts go on as evidence, each for the thresholds that could have served the call.
    They also watch: for each threshold an e-detector of a fall below its proven rung. Any alarm withdraws all
    levels, and the proof begins anew with what comes after; between false alarms lie `CONTRACT_RUN_LENGTH` audited
    verdicts on average, at least. The promise then holds from one restart to the next.

    Parameters
    ----------
    thresholds
        Candidates from strictest to loosest, fixed before any label is seen.
    p0, alpha
        As for `SelectiveGate`; the levels have an alpha of their own, beside that of the gates.
    ladder
        Agreements to prove, rising, in (0, 1).

    Raises
    ------
    ValueError
        When there are no thresholds or a parameter is out of range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), JRSS B 86(1), for the bound as a confidence sequence; Shin, Ramdas and Rinaldo
    (2024), New England Journal of Statistics in Data Science 2(2), for the detectors.

    Examples
    --------
    >>> levels = Levels([Threshold(0.9, 0.5), Threshold(0.1, 1.0)], p0=0.95)
    >>> for call in range(600):
    ...     levels.update(float(call % 30 > 0), confidence=0.5)
    ...     levels.update(1.0, confidence=0.95)
    >>> levels.look()
    >>> levels.proven(from_confidence=0.1)
    ((0.965, 0.1), (0.99, 0.9))
    """

    def __init__(
        self,
        thresholds: Sequence[Threshold],
        *,
        p0: float = 0.95,
        alpha: float = 0.05,
        ladder: Sequence[float] = LADDER,
    ) -> None:
        check_levels(p0, alpha, alpha, 1)
        if not thresholds:
            raise ValueError("levels need at least one threshold, got none")
        self.p0 = p0
        self.rungs = tuple(rung for rung in ladder if rung > p0)
        self._rising = [-threshold.confidence for threshold in thresholds]
        self._needed = math.log(len(thresholds) / alpha)
        self._run_length = CONTRACT_RUN_LENGTH * len(thresholds)
        self.restart()

    def restart(self) -> None:
        """Forget all evidence and all that was proven."""
        size = len(self._rising)
        self._counts = np.zeros((2, size))
        self._climbed = [0] * size
        self._watch: list[Detector | None] = [None] * size

    def update(self, score: float, confidence: float, served_from: float = -math.inf) -> None:
        """Take in one verdict, at every threshold that its confidence reaches and that is no looser than `served_from`.

        Parameters
        ----------
        score
            1 where the student agreed, else 0; one verdict for each distinct input.
        confidence
            The student's confidence in the answer that was judged.
        served_from
            The threshold that the call had to reach to be judged at all; none where the draw did not depend on it.

        Raises
        ------
        ValueError
            When the score is out of range.
        """
        check_verdict(score)
        reached = self._reached(confidence, served_from)
        self._counts[0, reached] += score
        self._counts[1, reached] += 1.0

    def watch(self, score: float, confidence: float, served_from: float) -> bool:
        """Feed one audited verdict to the detectors; true where a level has fallen, and with it all of them."""
        reached = self._reached(confidence, served_from)
        watching = [detector and detector.update(score) for detector in self._watch[reached]]
        self._watch[reached] = watching
        if not any(detector is not None and detector.alarmed for detector in watching):
            return False
        self.restart()
        return True

    def look(self) -> None:
        """Let the evidence count as it stands now; where verdicts carry time, at whole days only."""
        for index, (agree, n) in enumerate(self._counts.T.tolist()):
            climbed = self._climbed[index]
            while (
                climbed < len(self.rungs) and promote_log_e(round(agree), int(n), self.rungs[climbed]) >= self._needed
            ):
                climbed += 1
            self._climb(index, climbed)

    def adopt(self, proven: Proven) -> None:
        """Take over what was proven before, where its evidence is lost."""
        for agreement, confidence in proven:
            reached = self._reached(confidence, confidence)
            for index in range(reached.start, reached.stop):
                self._climb(index, max(self._climbed[index], bisect_right(self.rungs, agreement)))

    def proven(self, from_confidence: float, withheld: Sequence[bool] = ()) -> Proven:
        """The loosest threshold for each agreement that is proven, from the threshold in force on.

        Parameters
        ----------
        from_confidence
            The threshold in force: `p0` at least is proven there, by the gates.
        withheld
            For each threshold, strictest first, whether it must not be used, as for a class floor.
        """
        index = bisect_left(self._rising, -from_confidence)
        own = self._climbed[index] if index < len(self._rising) and self._rising[index] == -from_confidence else 0
        found = [(self.rungs[own - 1] if own else self.p0, from_confidence)]
        for stricter in range(index - 1, -1, -1):
            if self._climbed[stricter] > own and not (withheld and withheld[stricter]):
                own = self._climbed[stricter]
                found.append((self.rungs[own - 1], -self._rising[stricter]))
        return tuple(found)

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "confidences": [-value for value in self._rising],
            "p0": self.p0,
            "rungs": list(self.rungs),
            "needed": self._needed,
            "counts": self._counts.tolist(),
            "climbed": list(self._climbed),
            "watch": [detector and detector.state() for detector in self._watch],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The levels that `state` was taken from."""
        candidates = [Threshold(confidence, 0.0) for confidence in state["confidences"]]
        levels = cls(candidates, p0=state["p0"], ladder=state["rungs"])
        levels._needed = state["needed"]
        levels._counts = np.array(state["counts"], dtype=np.float64)
        levels._climbed = list(state["climbed"])
        levels._watch = [detector and Detector.from_state(detector) for detector in state["watch"]]
        return levels

    def _reached(self, confidence: float, served_from: float) -> slice:
        return slice(bisect_left(self._rising, -confidence), bisect_right(self._rising, -served_from))

    def _climb(self, index: int, climbed: int) -> None:
        if climbed > self._climbed[index]:
            self._climbed[index] = climbed
            self._watch[index] = Detector(self.rungs[climbed - 1], self._run_length)
