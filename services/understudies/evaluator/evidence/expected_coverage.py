"""Estimate the share of a task's calls that a student would serve, before any label is read."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from understudies.events import NOTHING_WITHHELD, Withheld
from understudies.persistence.saved_state import Key, SavedState


@dataclass(slots=True)
class ExpectedCoverage(SavedState):
    """Call counts by the student's answer and the strictest threshold reached; head inputs are counted separately."""

    confidences: list[float]
    calls: float = 0.0
    tail_calls_by_answer: Annotated[dict[str, list[float]], Key("answers")] = field(default_factory=dict)
    head_calls: Annotated[dict[str, tuple[float, float]], Key("head")] = field(default_factory=dict)

    def add_tail_call(self, confidence: float, answer: str, calls: float) -> None:
        """Count the calls of an input outside the head."""
        self.calls += calls
        counts = self.tail_calls_by_answer.setdefault(answer, [0.0] * (len(self.confidences) + 1))
        counts[bisect_left(self.confidences, -confidence, key=lambda candidate: -candidate)] += calls

    def add_head_call(self, name: str, confidence: float, calls: float) -> None:
        """Count the calls of a head input."""
        self.calls += calls
        highest, earlier_calls = self.head_calls.get(name, (0.0, 0.0))
        self.head_calls[name] = max(highest, confidence), earlier_calls + calls

    def share(
        self, threshold: float | None, head_threshold: float | None, withheld: Withheld = NOTHING_WITHHELD
    ) -> float:
        """Return the share of all calls that is served from these thresholds on, less what is withheld."""
        served = 0.0
        if threshold is not None:
            last = bisect_left(self.confidences, -threshold, key=lambda candidate: -candidate) + 1
            served_calls = (
                sum(counts[: min(last, self._stricter_count(withheld.answers.get(answer)))])
                for answer, counts in self.tail_calls_by_answer.items()
            )
            served += sum(served_calls) if threshold <= self._strictest else 0.0
        if head_threshold is not None:
            served += sum(
                calls
                for name, (confidence, calls) in self.head_calls.items()
                if confidence >= head_threshold and name not in withheld.inputs
            )
        return min(1.0, round(served / self.calls, 9)) if self.calls else 0.0

    def calls_above(self, answer: str, confidence: float) -> float:
        """Return the calls with an answer that are above a confidence, by the candidates that they reach."""
        return sum(self.tail_calls_by_answer.get(answer, [])[: self._stricter_count(confidence)])

    def calls_served(self, answer: str, threshold: float) -> float:
        """Return the calls with an answer that reach a candidate."""
        return sum(self.tail_calls_by_answer.get(answer, [])[: self._stricter_count(threshold) + 1])

    def is_typical_confidence(self, answer: str, confidence: float, threshold: float) -> bool:
        """Return whether a call is in the surer half of the answer's calls that reach, or that miss, a threshold."""
        served, surer = self.calls_served(answer, threshold), self.calls_above(answer, confidence)
        if confidence >= threshold:
            return surer <= served / 2
        return surer - served <= (sum(self.tail_calls_by_answer.get(answer, [])) - served) / 2

    def _stricter_count(self, confidence: float | None) -> int:
        """Return the number of candidates stricter than a confidence; one more than all if it is None."""
        if confidence is None:
            return len(self.confidences) + 1
        return bisect_left(self.confidences, -confidence, key=lambda candidate: -candidate)

    @property
    def _strictest(self) -> float:
        return self.confidences[0] if self.confidences else 0.0

    @property
    def head_share(self) -> float:
        """The share of all calls that belong to the head."""
        return sum(calls for _, calls in self.head_calls.values()) / self.calls if self.calls else 0.0


def head_thresholds(confidences: Sequence[float]) -> list[float]:
    """Return at most four head thresholds, strictest first, as the head has few inputs."""
    distinct = sorted({confidence for confidence in confidences if confidence > 0}, reverse=True)
    return distinct if len(distinct) <= 4 else [distinct[round(index * (len(distinct) - 1) / 3)] for index in range(4)]
