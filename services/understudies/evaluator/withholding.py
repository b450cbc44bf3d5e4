"""What a student must not answer though its gates have passed: answers, inputs of the head, groups of calls."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Self

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.events import ALWAYS, NOTHING_WITHHELD, Withheld
from understudies.stats.class_floor import ClassFloor, Confusion, critical_agreements, merge_confusion
from understudies.stats.subgroups import SubgroupMonitor

_MIN_SHARE_ABOVE = 0.5
"""The part of an answer's calls that must be surer than where it was wrong, for it to go on above that."""
_REPEATED_ERRORS = 3
"""How often an answer was wrong for failing classes before confidence is taken for telling nothing about it."""
_MIN_RENAMED_VERDICTS = 2
"""Verdicts of a new answer in place of one given as confidently as ever, from which the teacher is known to rename."""
_RECENT_VERDICTS = 6
_FEWEST = 3
_PRECISION = 0.8
_SIGNIFICANCE = 0.02
"""How many of the last verdicts on an answer may be wrong: so many have that probability at this precision."""
_LEAST_RELEASING = 5
"""Verdicts of a class that its predecessor failed, before a successor is taken for having learned it."""


FailingClasses = Mapping[str, Mapping[str, Confusion]]
"""Classes of answers that a student failed, with what each was taken for."""


class Withholding:
    """Looks for what is answered wrongly though the calls as a whole are not.

    A class of answers and an input of the head fail when agreements as few have probability below .05 at the floor;
    what a class was taken for is withheld, and so is the input. Subgroups by tenant and tag are told by e-BH. What is
    withheld once stays so for the student, and what a class was taken for goes on to successors until they have shown
    better.
    """

    def __init__(
        self,
        floor: ClassFloor,
        groups: SubgroupMonitor,
        reach: ExpectedCoverage,
        *,
        carried: FailingClasses | None = None,
    ) -> None:
        self.class_floor = floor
        self.subgroups = groups
        self.withheld = NOTHING_WITHHELD
        self._expected_coverage = reach
        self._carried = {name: dict(answers) for name, answers in (carried or {}).items()}
        self._inputs: dict[str, tuple[int, float]] = {}
        self._recent_scores: dict[str, deque[float]] = {}
        self._seen_today: tuple[date | None, set[tuple[str, str]]] = (None, set())

    def add(self, one: Input, observation: Observation, threshold: float | None = None) -> None:
        """Take in one verdict; of an input's repeats, a class of answers counts the first of each day.

        From the `threshold` in force on it also counts for what the student answered lately: where the teacher changes
        its mind, all that it said before speaks for the class, and only the last verdicts speak against the answer.
        """
        if observation.head is not None:
            n, total = self._inputs.get(observation.head, (0, 0.0))
            self._inputs[observation.head] = n + 1, total + observation.score
        elif observation.answer_class is not None and self._is_first(one.turn_name, observation):
            self.class_floor.add(
                observation.answer_class, observation.score, observation.confidence, observation.answer
            )
            if threshold is not None and observation.confidence >= threshold:
                self._recent_scores.setdefault(observation.answer, deque(maxlen=_RECENT_VERDICTS)).append(
                    observation.score
                )
        self.subgroups.add(observation.groups, observation.score, observation.confidence)

    def _is_first(self, name: str, piece: Observation) -> bool:
        day, seen = self._seen_today
        if piece.at.date() != day:
            day, seen = piece.at.date(), set()
            self._seen_today = day, seen
        if (name, piece.answer) in seen:
            return False
        seen.add((name, piece.answer))
        return True

    def is_withheld(self, observation: Observation) -> bool:
        """Whether a verdict is on what is withheld, and so no evidence of what is served."""
        held = self.withheld
        if observation.head is None and observation.confidence <= held.answers.get(observation.answer, -1.0):
            return True
        return observation.head in held.inputs or any(g in held.groups for g in observation.groups)

    def compute_withheld(self, threshold: float, groups: Iterable[str] = ()) -> Withheld:
        """What is to be withheld where the student serves from a threshold on, with all that is withheld already."""
        wrong = _merge_confusions(self.class_floor.answers_to_withhold(threshold), self._carried_over(threshold))
        answers = {name: self._withhold_up_to(name, one, threshold) for name, one in wrong.items()}
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

    def _withhold_up_to(self, answer: str, wrong: Confusion, threshold: float) -> float:
        """The confidence up to which an answer is withheld that was wrong at one.

        Where it was wrong again while as sure as it usually is, confidence tells nothing: it is withheld altogether.
        """
        above = self._expected_coverage.calls_above(answer, wrong.confidence)
        told_apart = (
            wrong.occurrences < _REPEATED_ERRORS
            or above >= _MIN_SHARE_ABOVE * self._expected_coverage.calls_served(answer, threshold)
        )
        return wrong.confidence if told_apart else ALWAYS

    def _renamed_answers(self, threshold: float) -> set[str]:
        """Return the answers that the teacher has begun to call by another name, one that training never saw.

        A new kind of call looks unfamiliar to the student, and its confidence is low; a renamed one looks as before,
        and its confidence is typical. So verdicts far below the threshold reveal a renaming before served calls do.
        """
        candidates = {
            (answer, confusion.occurrences)
            for name in self.class_floor.unseen_classes
            for answer, confusion in self.class_floor.confusions_of(name).items()
            # A new kind of call is taken for several answers, a renamed one for its old name.
            if 2 * confusion.occurrences >= self.class_floor.count_verdicts(name)
            and self._expected_coverage.is_typical_confidence(answer, confusion.confidence, threshold)
        }
        # One verdict may be a slip of the teacher, unless the teacher is known to rename.
        known = any(occurrences >= _MIN_RENAMED_VERDICTS for _, occurrences in candidates)
        return {answer for answer, _ in candidates} if known else set()

    def _carried_over(self, threshold: float) -> dict[str, Confusion]:
        return _merge_confusions(
            *(answers for name, answers in self._carried.items() if not self._is_learned(name, threshold))
        )

    def _is_learned(self, name: str, threshold: float) -> bool:
        n, total = self.class_floor.class_counts(name, threshold)
        return n >= _LEAST_RELEASING and total >= self.class_floor.floor * n

    def failing_classes(self, threshold: float) -> FailingClasses:
        """The failing classes with what they are taken for, as a successor takes them over."""
        own = {name: self.class_floor.confusions_of(name) for name in self.class_floor.failing_classes(threshold)}
        kept = {name: answers for name, answers in self._carried.items() if not self._is_learned(name, threshold)}
        return {**kept, **own}

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        day, seen = self._seen_today
        return {
            "floor": self.class_floor.state(),
            "groups": self.subgroups.state(),
            "held": self.withheld.model_dump(mode="json"),
            "carried": failing_classes_to_json(self._carried),
            "inputs": {name: list(counts) for name, counts in self._inputs.items()},
            "lately": {name: list(scores) for name, scores in self._recent_scores.items()},
            "today": [day and day.isoformat(), sorted(map(list, seen))],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], reach: ExpectedCoverage) -> Self:
        """What `state` was taken from."""
        floor, groups = ClassFloor.from_state(state["floor"]), SubgroupMonitor.from_state(state["groups"])
        kept = cls(floor, groups, reach, carried=failing_classes_from_json(state["carried"]))
        kept.withheld = Withheld.model_validate(state["held"])
        kept._inputs = {name: (n, total) for name, (n, total) in state["inputs"].items()}
        kept._recent_scores = {name: deque(scores, maxlen=_RECENT_VERDICTS) for name, scores in state["lately"].items()}
        day, seen = state["today"]
        kept._seen_today = day and date.fromisoformat(day), {(name, answer) for name, answer in seen}
        return kept


def _is_too_often_wrong(scores: Sequence[float]) -> bool:
    """Whether the last verdicts on an answer are too often wrong: three of three, four of five or six."""
    return len(scores) >= _FEWEST and sum(scores) < critical_agreements(len(scores), _PRECISION, alpha=_SIGNIFICANCE)


def _merge_highest(*found: Mapping[str, float]) -> dict[str, float]:
    """All answers, each up to the highest confidence that is given for it."""
    merged: dict[str, float] = {}
    for answers in found:
        for name, sure in answers.items():
            merged[name] = max(sure, merged.get(name, 0.0))
    return merged


def _merge_confusions(*found: Mapping[str, Confusion]) -> dict[str, Confusion]:
    """All answers, each with all that was wrong about it."""
    merged: dict[str, Confusion] = {}
    for answers in found:
        for name, wrong in answers.items():
            merged[name] = merge_confusion(merged.get(name), wrong)
    return merged


def failing_classes_to_json(failing: FailingClasses) -> dict[str, dict[str, list[float]]]:
    """Failing classes for a snapshot."""
    return {name: {answer: list(wrong) for answer, wrong in answers.items()} for name, answers in failing.items()}


def failing_classes_from_json(saved: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, Confusion]]:
    """The failing classes that were written."""
    return {
        name: {answer: Confusion(sure, int(times)) for answer, (sure, times) in answers.items()}
        for name, answers in saved.items()
    }
