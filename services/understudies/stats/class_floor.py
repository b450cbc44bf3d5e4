"""A floor on agreement within each class of the teacher's answers, to find the student's answers to withhold."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np

from understudies.persistence.arrays import FloatArray
from understudies.persistence.fields import NegatedList
from understudies.persistence.saved_state import Key, SavedState

RARE_CLASS_SIZE = 10
"""A class with fewer training examples is rare: the student cannot have learned it."""

_ALPHA = 0.05


class Confusion(NamedTuple):
    """The highest confidence at which an answer was given in place of a class, and how often it was given."""

    confidence: float
    occurrences: int


def merge_confusion(one: Confusion | None, other: Confusion) -> Confusion:
    """Merge two confusions: the higher confidence, the sum of the occurrences.

    >>> merge_confusion(Confusion(0.9, 1), Confusion(0.8, 2))
    Confusion(confidence=0.9, occurrences=3)
    """
    return (
        other if one is None else Confusion(max(one.confidence, other.confidence), one.occurrences + other.occurrences)
    )


class ClassFloor(SavedState):
    """Count verdicts by class of the teacher's answer, and the student's answers given in place of failing classes.

    A gate on all calls misses a class that makes up 1% of them and is always answered wrongly. A class fails from a
    threshold on when at least `min_verdicts` of its verdicts reach it and so few agreements have probability below .05
    at the floor. Then the answers that the student gave in its place are to be withheld up to the confidence at which
    they were wrong: other answers are still served, and no threshold is tightened for all.

    A class with fewer than `RARE_CLASS_SIZE` training examples fails by its verdicts at any confidence: the student
    cannot have learned it, and its confidence is not informative there. Multiple classes are not corrected for: the
    error is on the side of withholding, so the gates' guarantee stands.

    Parameters
    ----------
    confidences
        The candidate thresholds, strictest first.
    training_counts
        The number of training examples of each class; if None, no class counts as rare.
    floor
        Minimum mean score in [0, 1] within a class.
    min_verdicts
        The number of verdicts of a class from which it can fail.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26(4): the test inverts their upper bound.

    Raises
    ------
    ValueError
        When floor is outside [0, 1].

    Examples
    --------
    >>> floor = ClassFloor([0.9, 0.5])
    >>> for _ in range(2):
    ...     floor.add("refund", 0.0, confidence=0.95, answer="billing")
    >>> floor.failing_classes(0.9), floor.answers_to_withhold(0.9)
    (['refund'], {'billing': Confusion(confidence=0.95, occurrences=2)})
    """

    __slots__ = (
        "_confusions",
        "_counts",
        "_negated_confidences",
        "_totals",
        "_training_counts",
        "floor",
        "min_verdicts",
    )

    floor: float
    min_verdicts: Annotated[int, Key("least")]
    _negated_confidences: Annotated[NegatedList, Key("confidences")]
    _training_counts: Annotated[dict[str, int] | None, Key("trained")]
    _counts: dict[str, FloatArray]
    _totals: Annotated[dict[str, tuple[int, float]], Key("all")]
    _confusions: Annotated[dict[str, dict[str, Confusion]], Key("confused")]

    def __init__(
        self,
        confidences: Sequence[float],
        training_counts: Mapping[str, int] | None = None,
        *,
        floor: float = 0.8,
        min_verdicts: int = 2,
    ) -> None:
        if not 0.0 <= floor <= 1.0:
            raise ValueError(f"floor must lie in [0, 1], got {floor!r}")
        self.floor = floor
        self.min_verdicts = min_verdicts
        self._negated_confidences = [-confidence for confidence in confidences]
        self._training_counts = None if training_counts is None else dict(training_counts)
        self._counts = {}
        self._totals = {}
        self._confusions = {}

    def without_verdicts(self) -> ClassFloor:
        """Return a floor of the same thresholds and training counts without any verdict."""
        confidences = [-negated for negated in self._negated_confidences]
        return ClassFloor(confidences, self._training_counts, floor=self.floor, min_verdicts=self.min_verdicts)

    def add(self, answer_class: str, score: float, confidence: float, answer: str) -> None:
        """Count one verdict: the teacher's class, the agreement, the student's confidence and its answer."""
        counts = self._counts.get(answer_class)
        if counts is None:
            counts = self._counts[answer_class] = np.zeros((2, len(self._negated_confidences)))
        first = bisect_left(self._negated_confidences, -confidence)
        counts[0, first:] += 1.0
        counts[1, first:] += score
        n, total = self._totals.get(answer_class, (0, 0.0))
        self._totals[answer_class] = n + 1, total + score
        if score < 1.0:
            confused = self._confusions.setdefault(answer_class, {})
            confused[answer] = merge_confusion(confused.get(answer), Confusion(confidence, 1))

    def failing_classes(self, confidence: float) -> list[str]:
        """Return the classes below the floor when the student serves from a candidate's confidence on, sorted."""
        return sorted(name for name in self._counts if self._fails(name, confidence))

    def answers_to_withhold(self, confidence: float) -> dict[str, Confusion]:
        """Return the student's answers given in place of the failing classes, with their confusions."""
        merged: dict[str, Confusion] = {}
        for name in self.failing_classes(confidence):
            for answer, confusion in self._confusions[name].items():
                if confusion.confidence >= confidence:
                    merged[answer] = merge_confusion(merged.get(answer), confusion)
        return merged

    def class_counts(self, name: str, confidence: float) -> tuple[int, float]:
        """Return the verdicts of a class from a candidate's confidence on, and the sum of their scores.

        For a rare class, count the verdicts at any confidence.
        """
        if name not in self._counts:
            return 0, 0.0
        if self.is_rare(name):
            return self._totals[name]
        index = bisect_left(self._negated_confidences, -confidence)
        if index == len(self._negated_confidences):
            return 0, 0.0
        n, total = self._counts[name][:, index].tolist()
        return int(n), total

    def confusions_of(self, name: str) -> dict[str, Confusion]:
        """Return all answers given in place of a class, with their confusions."""
        return dict(self._confusions.get(name, {}))

    def _fails(self, name: str, confidence: float) -> bool:
        n, total = self.class_counts(name, confidence)
        return n >= self.min_verdicts and total < critical_agreements(n, self.floor)

    def is_rare(self, name: str | None) -> bool:
        """Return whether a class has too few training examples for the student to have learned it."""
        return (
            name is not None
            and self._training_counts is not None
            and self._training_counts.get(name, 0) < RARE_CLASS_SIZE
        )

    def count_verdicts(self, name: str) -> int:
        """Return the number of verdicts of a class at any confidence."""
        return self._totals.get(name, (0, 0.0))[0]

    @property
    def unseen_classes(self) -> list[str]:
        """The classes without any training example: answers that the teacher did not give before; sorted."""
        return [] if self._training_counts is None else sorted(self._totals.keys() - self._training_counts.keys())


@lru_cache(maxsize=65536)
def critical_agreements(n: int, floor: float, alpha: float = _ALPHA) -> int:
    """Return the least number of agreements among `n` that is not significantly below the floor.

    The test is one-sided, at level `alpha`.

    >>> critical_agreements(1, 0.8), critical_agreements(2, 0.8), critical_agreements(20, 0.8)
    (0, 1, 13)
    """
    if floor in (0.0, 1.0):
        return n if floor else 0
    log_p, log_q = math.log(floor), math.log1p(-floor)
    cumulative = 0.0
    for agree in range(n + 1):
        ways = math.lgamma(n + 1) - math.lgamma(agree + 1) - math.lgamma(n - agree + 1)
        cumulative += math.exp(ways + agree * log_p + (n - agree) * log_q)
        if cumulative >= alpha:
            return agree
    return n
