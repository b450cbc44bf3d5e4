"""Withhold what a student answers wrongly although its gates pass: answers, head inputs, groups of calls."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.events import ALWAYS, NOTHING_WITHHELD, Withheld
from understudies.persistence.fields import SORTED, As
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.class_floor import ClassFloor, Confusion, critical_agreements, merge_confusion
from understudies.stats.subgroups import SubgroupMonitor

_MIN_SHARE_ABOVE = 0.5
"""The part of an answer's calls that must exceed the confidence of its errors for it to be served above that."""
_REPEATED_ERRORS = 3
"""Errors of an answer for failing classes from which its confidence counts as uninformative."""
_MIN_RENAMED_VERDICTS = 2
"""Verdicts of a new answer replacing one given as confidently as ever that prove a renaming by the teacher."""
_RECENT_VERDICTS = 6
_MIN_RECENT_VERDICTS = 3
_PRECISION = 0.8
_SIGNIFICANCE = 0.02
"""Significance level: an answer is withheld if so few recent agreements are less probable at `_PRECISION`."""
_MIN_RELEASING_VERDICTS = 5
"""Verdicts of a class failed by its predecessor that are needed to show that a successor has learned it."""


def _keep_recent(scores: Iterable[float] = ()) -> deque[float]:
    return deque(scores, maxlen=_RECENT_VERDICTS)


RecentScores = Annotated[deque[float], As(list[float], read=_keep_recent, write=list)]

FailingClasses = Mapping[str, Mapping[str, Confusion]]
"""Classes of answers that a student failed, with the answers given in their place."""


class Withholding(SavedState):
    """Find what a student answers wrongly although it agrees on the calls as a whole.

    A class of answers and a head input fail when agreements as few have probability below .05 at the floor; the answers
    given in place of the class are withheld, and so is the input. Subgroups by tenant and tag are selected by e-BH.
    What is withheld stays withheld for the student, and the answers given in place of a class are carried over to
    successors until these have shown better.
    """

    class_floor: Annotated[ClassFloor, Key("floor")]
    closed_set: Annotated[bool, Key(default=lambda: True)]
    """Whether the task's answers are a closed set: otherwise each is a class of its own, and tells of no other."""
    subgroups: Annotated[SubgroupMonitor, Key("groups")]
    withheld: Annotated[Withheld, Key("held")]
    _carried: FailingClasses
    _inputs: dict[str, tuple[int, float]]
    _recent_scores: Annotated[dict[str, RecentScores], Key("lately")]
    _seen_today: Annotated[tuple[date | None, Annotated[set[tuple[str, str]], SORTED]], Key("today")]

    def __init__(
        self,
        floor: ClassFloor,
        groups: SubgroupMonitor,
        expected_coverage: ExpectedCoverage,
        *,
        carried: FailingClasses | None = None,
        closed_set: bool = True,
    ) -> None:
        self.class_floor = floor
        self.closed_set = closed_set
        self.subgroups = groups
        self.withheld = NOTHING_WITHHELD
        self._carried = {name: dict(answers) for name, answers in (carried or {}).items()}
        self._inputs = {}
        self._recent_scores = {}
        self._seen_today = (None, set())
        self.attach(expected_coverage)

    def attach(self, expected_coverage: ExpectedCoverage) -> None:
        """Set what the trial knows, and the snapshot holds once."""
        self._expected_coverage = expected_coverage

    def without_verdicts(self) -> "Withholding":
        """Return a copy that keeps what is withheld and carried over, and has yet to see any verdict."""
        copy = Withholding(
            self.class_floor.without_verdicts(),
            self.subgroups.without_verdicts(),
            self._expected_coverage,
            carried=self._carried,
            closed_set=self.closed_set,
        )
        copy.withheld = self.withheld
        return copy

    def add(self, call_input: Input, observation: Observation, threshold: float | None = None) -> None:
        """Add one verdict; of an input's repeats, a class of answers counts the first of each day.

        From the `threshold` in force on, the verdict also counts for the student's recent answers: when the teacher
        changes an answer, all earlier verdicts support the class, and only the latest contradict the answer.
        """
        if observation.head is not None:
            n, total = self._inputs.get(observation.head, (0, 0.0))
            self._inputs[observation.head] = n + 1, total + observation.score
        elif (
            self.closed_set
            and observation.answer_class is not None
            and self._is_first(call_input.turn_name, observation)
        ):
            self.class_floor.add(
                observation.answer_class, observation.score, observation.confidence, observation.answer
            )
            if threshold is not None and observation.confidence >= threshold:
                self._recent_scores.setdefault(observation.answer, _keep_recent()).append(observation.score)
        self.subgroups.add(observation.groups, observation.score, observation.confidence)

    def _is_first(self, name: str, observation: Observation) -> bool:
        day, seen = self._seen_today
        if observation.at.date() != day:
            day, seen = observation.at.date(), set()
            self._seen_today = day, seen
        if (name, observation.answer) in seen:
            return False
        seen.add((name, observation.answer))
        return True

    def is_withheld(self, observation: Observation) -> bool:
        """Return whether a verdict is on a withheld answer, and so no evidence for what is served."""
        withheld = self.withheld
        if observation.head is None and observation.confidence <= withheld.answers.get(observation.answer, -1.0):
            return True
        return observation.head in withheld.inputs or any(g in withheld.groups for g in observation.groups)

    def compute_withheld(self, threshold: float, groups: Iterable[str] = ()) -> Withheld:
        """Return what to withhold when the student serves from a threshold on, including all withheld before."""
        confusions = _merge_confusions(self.class_floor.answers_to_withhold(threshold), self._carried_over(threshold))
        answers = {name: self._withhold_up_to(name, confusion, threshold) for name, confusion in confusions.items()}
        answers |= {name: ALWAYS for name, scores in self._recent_scores.items() if _is_too_often_wrong(scores)}
        answers |= dict.fromkeys(self._renamed_answers(threshold), ALWAYS)
        failing = (name for name, (n, total) in self._inputs.items() if n >= 2 and total < self._critical_agreements(n))
        return Withheld(
            answers=dict(sorted(_merge_highest(self.withheld.answers, answers).items())),
            inputs=tuple(sorted({*self.withheld.inputs, *failing})),
            groups=tuple(sorted({*self.withheld.groups, *self.subgroups.failing_groups(threshold), *groups})),
        )

    def _critical_agreements(self, n: int) -> int:
        return critical_agreements(n, self.class_floor.floor)

    def _withhold_up_to(self, answer: str, confusion: Confusion, threshold: float) -> float:
        """Return the confidence up to which an answer is withheld that was wrong at one.

        If it was wrong repeatedly at its usual confidence, confidence is uninformative: withhold it at every
        confidence.
        """
        above = self._expected_coverage.calls_above(answer, confusion.confidence)
        is_informative = (
            confusion.occurrences < _REPEATED_ERRORS
            or above >= _MIN_SHARE_ABOVE * self._expected_coverage.calls_served(answer, threshold)
        )
        return confusion.confidence if is_informative else ALWAYS

    def _renamed_answers(self, threshold: float) -> set[str]:
        """Return the answers that the teacher has begun to replace by another name, one absent from training.

        A new kind of call looks unfamiliar to the student, and its confidence is low; a renamed one looks as before,
        and its confidence is typical. So verdicts far below the threshold reveal a renaming before served calls do.
        """
        candidates = {
            (answer, confusion.occurrences)
            for name in self.class_floor.unseen_classes
            for answer, confusion in self.class_floor.confusions_of(name).items()
            # A new kind of call is confused with several answers, a renamed one with its old name.
            if 2 * confusion.occurrences >= self.class_floor.count_verdicts(name)
            and self._expected_coverage.is_typical_confidence(answer, confusion.confidence, threshold)
        }
        # One verdict may be an error of the teacher, unless the teacher is known to rename.
        is_known = any(occurrences >= _MIN_RENAMED_VERDICTS for _, occurrences in candidates)
        return {answer for answer, _ in candidates} if is_known else set()

    def _carried_over(self, threshold: float) -> dict[str, Confusion]:
        return _merge_confusions(
            *(answers for name, answers in self._carried.items() if not self._is_learned(name, threshold))
        )

    def _is_learned(self, name: str, threshold: float) -> bool:
        n, total = self.class_floor.class_counts(name, threshold)
        return n >= _MIN_RELEASING_VERDICTS and total >= self.class_floor.floor * n

    def failing_classes(self, threshold: float) -> FailingClasses:
        """Return the failing classes with the answers given in their place, to carry over to a successor."""
        own = {name: self.class_floor.confusions_of(name) for name in self.class_floor.failing_classes(threshold)}
        carried = {name: answers for name, answers in self._carried.items() if not self._is_learned(name, threshold)}
        return {**carried, **own}


def _is_too_often_wrong(scores: Sequence[float]) -> bool:
    """Return whether too few recent verdicts agree: three of three wrong, or four of five or six."""
    return len(scores) >= _MIN_RECENT_VERDICTS and sum(scores) < critical_agreements(
        len(scores), _PRECISION, alpha=_SIGNIFICANCE
    )


def _merge_highest(*mappings: Mapping[str, float]) -> dict[str, float]:
    """Merge the answers, each with the highest confidence given for it."""
    merged: dict[str, float] = {}
    for answers in mappings:
        for name, confidence in answers.items():
            merged[name] = max(confidence, merged.get(name, 0.0))
    return merged


def _merge_confusions(*mappings: Mapping[str, Confusion]) -> dict[str, Confusion]:
    """Merge the answers, each with all its confusions."""
    merged: dict[str, Confusion] = {}
    for answers in mappings:
        for name, confusion in answers.items():
            merged[name] = merge_confusion(merged.get(name), confusion)
    return merged
