"""Agreement proven beyond p0: what a student may promise where it is surer than it needs to be."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np

from understudies.stats.bounds import clopper_pearson_upper, promote_log_e
from understudies.stats.coverage import Threshold
from understudies.stats.drift import CONTRACT_RUN_LENGTH, DriftDetector
from understudies.stats.gate import check_parameters, check_verdict

AGREEMENT_LEVELS: tuple[float, ...] = (0.90, 0.925, *(round(0.95 + 0.005 * step, 3) for step in range(10)), 0.998)
"""Agreements that are tried to be proven; those up to p0 are left out."""

ProvenLevels = tuple[tuple[float, float], ...]
"""Pairs of an agreement and the confidence from which it is proven, rising in both."""

EvidenceStream = Literal["inputs", "calls"]
"""What evidence counts: each distinct input once, or every call, as for the two gates."""

_STREAMS: tuple[EvidenceStream, ...] = ("inputs", "calls")


class AgreementLevels:
    """Which agreement above `p0` is proven from which threshold on, valid at every look.

    Each threshold has one betting e-process for each level, all at the significance `alpha / m` for `m`
    thresholds. The agreement from a threshold on is one number, and the evidence against "it is at most p" falls
    as p grows: whoever proves a level too high has also proven the lowest level that is too high. So all levels of a
    threshold together err with probability at most `alpha / m`, and all pairs that are ever proven with at most
    `alpha`. Passing levels on from threshold to threshold, as the gates do at the one p0, has no such bound over
    several levels.

    A level is proven where both streams of evidence prove it, each by itself: distinct inputs and calls, as for the
    gates. One that its audits contradict, by their upper 95% Clopper-Pearson bound, is not told.

    After the switch audited verdicts go on as evidence, each for the thresholds that could have served the call.
    They also watch: for each threshold an e-detector of a fall below its proven level. Any alarm withdraws all
    levels, and the proof begins anew with what comes after; between false alarms lie `CONTRACT_RUN_LENGTH` audited
    verdicts on average, at least. The promise then holds from one restart to the next.

    Parameters
    ----------
    thresholds
        Candidates from strictest to loosest, fixed before any label is seen.
    p0, alpha
        As for `SelectiveGate`; the levels have an alpha of their own, beside that of the gates.
    levels
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
    >>> levels = AgreementLevels([Threshold(0.9, 0.5), Threshold(0.1, 1.0)], p0=0.95)
    >>> for call in range(600):
    ...     for stream in ("inputs", "calls"):
    ...         levels.update(float(call % 30 > 0), 0.5, stream)
    ...         levels.update(1.0, 0.95, stream)
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
        levels: Sequence[float] = AGREEMENT_LEVELS,
    ) -> None:
        check_parameters(p0, alpha, alpha, 1)
        if not thresholds:
            raise ValueError("levels need at least one threshold, got none")
        self.p0 = p0
        self.levels = tuple(rung for rung in levels if rung > p0)
        self._negated_confidences = [-threshold.confidence for threshold in thresholds]
        self._required_log_e = math.log(len(thresholds) / alpha)
        self._run_length = CONTRACT_RUN_LENGTH * len(thresholds)
        self.restart()

    def restart(self) -> None:
        """Forget all evidence and all that was proven."""
        size = len(self._negated_confidences)
        self._counts = {stream: np.zeros((2, size)) for stream in _STREAMS}
        self._proven_counts = {stream: [0] * size for stream in _STREAMS}
        self._audits = np.zeros((2, size))
        self._detectors: list[DriftDetector | None] = [None] * size

    def update(self, score: float, confidence: float, stream: EvidenceStream, served_from: float = -math.inf) -> None:
        """Take in one verdict, at every threshold that its confidence reaches and that is no looser than `served_from`.

        Parameters
        ----------
        score
            1 where the student agreed, else 0.
        confidence
            The student's confidence in the answer that was judged.
        stream
            What the verdict counts for: `inputs` takes one for each distinct input, `calls` one for each call.
        served_from
            The threshold that the call had to reach to be judged at all; none where the draw did not depend on it.

        Raises
        ------
        ValueError
            When the score is out of range.
        """
        check_verdict(score)
        reached = self._reached(confidence, served_from)
        counts = self._counts[stream]
        counts[0, reached] += score
        counts[1, reached] += 1.0

    def update_detectors(self, score: float, confidence: float, served_from: float) -> bool:
        """Feed one audited verdict to the detectors; true where a level has fallen, and with it all of them."""
        reached = self._reached(confidence, served_from)
        self._audits[0, reached] += score
        self._audits[1, reached] += 1.0
        watching = [detector and detector.update(score) for detector in self._detectors[reached]]
        self._detectors[reached] = watching
        if not any(detector is not None and detector.has_alarm for detector in watching):
            return False
        self.restart()
        return True

    def look(self) -> None:
        """Let the evidence count as it stands now; where verdicts carry time, at whole days only."""
        for stream in _STREAMS:
            counts = self._counts[stream]
            for index, (agree, n) in enumerate(counts.T.tolist()):
                climbed = self._proven_counts[stream][index]
                while (
                    climbed < len(self.levels)
                    and promote_log_e(round(agree), int(n), self.levels[climbed]) >= self._required_log_e
                ):
                    climbed += 1
                self._raise_level(stream, index, climbed)

    def adopt(self, proven: ProvenLevels) -> None:
        """Take over what was proven before, where its evidence is lost."""
        for agreement, confidence in proven:
            reached = self._reached(confidence, confidence)
            for index in range(reached.start, reached.stop):
                for stream in _STREAMS:
                    self._raise_level(stream, index, bisect_right(self.levels, agreement))

    def proven(self, from_confidence: float, withheld: Sequence[bool] = ()) -> ProvenLevels:
        """The loosest threshold for each agreement that is proven, from the threshold in force on.

        Parameters
        ----------
        from_confidence
            The threshold in force: `p0` at least is proven there, by the gates.
        withheld
            For each threshold, strictest first, whether it must not be used, as for a class floor.
        """
        index = bisect_left(self._negated_confidences, -from_confidence)
        own = (
            self._uncontradicted_count(index)
            if index < len(self._negated_confidences) and self._negated_confidences[index] == -from_confidence
            else 0
        )
        found = [(self.levels[own - 1] if own else self.p0, from_confidence)]
        for stricter in range(index - 1, -1, -1):
            if self._uncontradicted_count(stricter) > own and not (withheld and withheld[stricter]):
                own = self._uncontradicted_count(stricter)
                found.append((self.levels[own - 1], -self._negated_confidences[stricter]))
        return tuple(found)

    def _proven_count(self, index: int) -> int:
        return min(climbs[index] for climbs in self._proven_counts.values())

    def _uncontradicted_count(self, index: int) -> int:
        """The level that both streams prove at a threshold and that its audits do not contradict; 0 for none."""
        climbed = self._proven_count(index)
        agree, n = self._audits[:, index].tolist()
        # Audits that agree as often as the level contradict nothing: their bound is not worth computing.
        if not climbed or agree >= self.levels[climbed - 1] * n:
            return climbed
        highest = clopper_pearson_upper(round(agree), int(n))
        while climbed and self.levels[climbed - 1] > highest:
            climbed -= 1
        return climbed

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "confidences": [-value for value in self._negated_confidences],
            "p0": self.p0,
            "rungs": list(self.levels),
            "needed": self._required_log_e,
            "counts": {stream: counts.tolist() for stream, counts in self._counts.items()},
            "climbs": {stream: list(climbs) for stream, climbs in self._proven_counts.items()},
            "audits": self._audits.tolist(),
            "watch": [detector and detector.state() for detector in self._detectors],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The levels that `state` was taken from; from before calls counted too, what was proven stays proven."""
        candidates = [Threshold(confidence, 0.0) for confidence in state["confidences"]]
        levels = cls(candidates, p0=state["p0"], levels=state["rungs"])
        levels._required_log_e = state["needed"]
        if "climbs" in state:
            levels._counts = {stream: np.array(state["counts"][stream], dtype=np.float64) for stream in _STREAMS}
            levels._proven_counts = {stream: list(state["climbs"][stream]) for stream in _STREAMS}
            levels._audits = np.array(state["audits"], dtype=np.float64)
        else:
            levels._counts["inputs"] = np.array(state["counts"], dtype=np.float64)
            levels._proven_counts = {stream: list(state["climbed"]) for stream in _STREAMS}
        levels._detectors = [detector and DriftDetector.from_state(detector) for detector in state["watch"]]
        return levels

    def _reached(self, confidence: float, served_from: float) -> slice:
        return slice(
            bisect_left(self._negated_confidences, -confidence), bisect_right(self._negated_confidences, -served_from)
        )

    def _raise_level(self, stream: EvidenceStream, index: int, climbed: int) -> None:
        before = self._proven_count(index)
        self._proven_counts[stream][index] = max(self._proven_counts[stream][index], climbed)
        now = self._proven_count(index)
        if now > before:
            self._detectors[index] = DriftDetector(self.levels[now - 1], self._run_length)
