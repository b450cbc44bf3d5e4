"""Agreement levels proven above p0, from stricter thresholds on."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np

from understudies.persistence.arrays import FloatArray
from understudies.persistence.fields import NegatedList
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.bounds import clopper_pearson_upper, promote_log_e
from understudies.stats.coverage import Threshold
from understudies.stats.drift import CONTRACT_RUN_LENGTH, DriftDetector
from understudies.stats.gate import check_parameters, check_verdict

AGREEMENT_LEVELS: tuple[float, ...] = (0.90, 0.925, *(round(0.95 + 0.005 * step, 3) for step in range(10)), 0.998)
"""The agreement levels to test; those up to p0 are skipped."""

ProvenLevels = tuple[tuple[float, float], ...]
"""Pairs of an agreement and the confidence from which it is proven, ascending in both."""

EvidenceStream = Literal["inputs", "calls"]
"""The unit of evidence: each distinct input once, or every call, as for the two gates."""

_STREAMS: tuple[EvidenceStream, ...] = ("inputs", "calls")


class AgreementLevels(SavedState):
    """Prove agreement levels above `p0`, each from some threshold on, valid at every look.

    Each threshold has one betting e-process for each level, all at the significance `alpha / m` for `m` thresholds. The
    agreement from a threshold on is one number, and the evidence against "it is at most p" falls as p grows: proving
    any level that is too high implies proving the lowest level that is too high. So all levels of a threshold together
    err with probability at most `alpha / m`, and all pairs that are ever proven with at most `alpha`. Passing levels on
    from threshold to threshold, as the gates do at the one p0, has no such bound over several levels.

    A level is proven if both streams of evidence prove it, each by itself: distinct inputs and calls, as for the gates.
    A level that its audits contradict, by their upper 95% Clopper-Pearson bound, is not reported.

    Once the student serves, audited verdicts continue as evidence, each for the thresholds that could have served the
    call. They also monitor: each threshold has an e-detector of a fall below its proven level. Any alarm withdraws all
    levels, and the proof restarts with later verdicts; between false alarms lie `CONTRACT_RUN_LENGTH` audited verdicts
    on average, at least. The guarantee then holds from one restart to the next.

    Parameters
    ----------
    thresholds
        Candidates from strictest to loosest, fixed before any label is seen.
    p0, alpha
        As for `SelectiveGate`; the levels have their own alpha, separate from that of the gates.
    levels
        Agreements to prove, ascending, in (0, 1).

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

    p0: float
    levels: Annotated[tuple[float, ...], Key("rungs")]
    _negated_confidences: Annotated[NegatedList, Key("confidences")]
    _required_log_e: Annotated[float, Key("needed")]
    _counts: dict[EvidenceStream, FloatArray]
    _proven_counts: Annotated[dict[EvidenceStream, list[int]], Key("climbs")]
    _audits: FloatArray
    _detectors: Annotated[list[DriftDetector | None], Key("watch")]

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
        self.levels = tuple(level for level in levels if level > p0)
        self._negated_confidences = [-threshold.confidence for threshold in thresholds]
        self._required_log_e = math.log(len(thresholds) / alpha)
        self.restart()

    def restart(self) -> None:
        """Discard all evidence and all proven levels."""
        size = len(self._negated_confidences)
        self._counts = {stream: np.zeros((2, size)) for stream in _STREAMS}
        self._proven_counts = {stream: [0] * size for stream in _STREAMS}
        self._audits = np.zeros((2, size))
        self._detectors = [None] * size

    def update(self, score: float, confidence: float, stream: EvidenceStream, served_from: float = -math.inf) -> None:
        """Add one verdict at every threshold that its confidence reaches and that is not below `served_from`.

        Parameters
        ----------
        score
            1 where the student agreed, else 0.
        confidence
            The student's confidence in the judged answer.
        stream
            The stream to add the verdict to: `inputs` takes one for each distinct input, `calls` one for each call.
        served_from
            The threshold that the call had to reach to be judged; minus infinity if selection did not depend on it.

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

    def update_detectors(self, score: float, confidence: float, served_from: float, pace: float = 1.0) -> bool:
        """Feed one audited verdict to the detectors; return whether an alarm withdrew all levels.

        `pace` as for `DriftDetector.update`.
        """
        reached = self._reached(confidence, served_from)
        self._audits[0, reached] += score
        self._audits[1, reached] += 1.0
        detectors = [detector and detector.update(score, pace) for detector in self._detectors[reached]]
        self._detectors[reached] = detectors
        if not any(detector is not None and detector.has_alarm for detector in detectors):
            return False
        self.restart()
        return True

    def look(self) -> None:
        """Test the levels on the evidence so far; where verdicts have timestamps, call it at whole days only."""
        for stream in _STREAMS:
            counts = self._counts[stream]
            for index, (agree, n) in enumerate(counts.T.tolist()):
                proven_count = self._proven_counts[stream][index]
                while (
                    proven_count < len(self.levels)
                    and promote_log_e(round(agree), int(n), self.levels[proven_count]) >= self._required_log_e
                ):
                    proven_count += 1
                self._raise_level(stream, index, proven_count)

    def adopt(self, proven: ProvenLevels) -> None:
        """Adopt levels proven earlier, whose evidence is lost."""
        for agreement, confidence in proven:
            reached = self._reached(confidence, confidence)
            for index in range(reached.start, reached.stop):
                for stream in _STREAMS:
                    self._raise_level(stream, index, bisect_right(self.levels, agreement))

    def proven(self, from_confidence: float, withheld: Sequence[bool] = ()) -> ProvenLevels:
        """Return the loosest threshold for each proven agreement, from the threshold in force on.

        Parameters
        ----------
        from_confidence
            The threshold in force, where the gates have proven at least `p0`.
        withheld
            For each threshold, strictest first, whether it is excluded, as by a class floor.
        """
        index = bisect_left(self._negated_confidences, -from_confidence)
        level_count = (
            self._uncontradicted_count(index)
            if index < len(self._negated_confidences) and self._negated_confidences[index] == -from_confidence
            else 0
        )
        pairs = [(self.levels[level_count - 1] if level_count else self.p0, from_confidence)]
        for stricter in range(index - 1, -1, -1):
            if self._uncontradicted_count(stricter) > level_count and not (withheld and withheld[stricter]):
                level_count = self._uncontradicted_count(stricter)
                pairs.append((self.levels[level_count - 1], -self._negated_confidences[stricter]))
        return tuple(pairs)

    def _proven_count(self, index: int) -> int:
        return min(counts[index] for counts in self._proven_counts.values())

    def _uncontradicted_count(self, index: int) -> int:
        """Return how many levels are proven by both streams at a threshold and not contradicted by its audits."""
        count = self._proven_count(index)
        agree, n = self._audits[:, index].tolist()
        # Audits that agree as often as the level do not contradict it: skip computing their bound.
        if not count or agree >= self.levels[count - 1] * n:
            return count
        highest = clopper_pearson_upper(round(agree), int(n))
        while count and self.levels[count - 1] > highest:
            count -= 1
        return count

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot written before calls were counted as well: proven levels stay proven."""
        if "climbs" in state:
            return state
        unseen = [[0.0] * len(state["confidences"])] * 2
        return {
            **state,
            "counts": {"inputs": state["counts"], "calls": unseen},
            "climbs": dict.fromkeys(_STREAMS, state["climbed"]),
            "audits": unseen,
        }

    def _reached(self, confidence: float, served_from: float) -> slice:
        return slice(
            bisect_left(self._negated_confidences, -confidence), bisect_right(self._negated_confidences, -served_from)
        )

    def _raise_level(self, stream: EvidenceStream, index: int, count: int) -> None:
        before = self._proven_count(index)
        self._proven_counts[stream][index] = max(self._proven_counts[stream][index], count)
        now = self._proven_count(index)
        if now > before:
            self._detectors[index] = DriftDetector(
                self.levels[now - 1], CONTRACT_RUN_LENGTH * len(self._negated_confidences)
            )
