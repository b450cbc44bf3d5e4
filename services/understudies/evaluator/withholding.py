"""What a student must not answer though its gates have passed: answers, inputs of the head, groups of calls."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Self

from understudies.evaluator.reach import Reach
from understudies.evaluator.waiting import Piece
from understudies.events import ALWAYS, NOTHING_WITHHELD, Withheld
from understudies.stats import ClassFloor, Confused, Subgroups, critical_agreements, together
from understudies.students import Input

_USUAL = 0.5
"""The part of an answer's calls that must be surer than where it was wrong, for it to go on above that."""
_AGAIN = 3
"""How often an answer was wrong for failing classes before confidence is taken for telling nothing about it."""
_RENAMED = 2
"""How often one answer was given in place of a new one, as surely as ever, before the teacher is known to rename."""
_LATELY = 6
_FEWEST = 3
_PRECISION = 0.8
_RARELY = 0.02
"""How many of the last verdicts on an answer may be wrong: so many have that probability at this precision."""
_LEAST_RELEASING = 5
"""Verdicts of a class that its predecessor failed, before a successor is taken for having learned it."""


Failing = Mapping[str, Mapping[str, Confused]]
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
        groups: Subgroups,
        reach: Reach,
        *,
        carried: Failing | None = None,
    ) -> None:
        self.floor = floor
        self.groups = groups
        self.held = NOTHING_WITHHELD
        self._reach = reach
        self._carried = {name: dict(answers) for name, answers in (carried or {}).items()}
        self._inputs: dict[str, tuple[int, float]] = {}
        self._lately: dict[str, deque[float]] = {}
        self._today: tuple[date | None, set[tuple[str, str]]] = (None, set())

    def add(self, one: Input, piece: Piece, threshold: float | None = None) -> None:
        """Take in one verdict; of an input's repeats, a class of answers counts the first of each day.

        From the `threshold` in force on it also counts for what the student answered lately: where the teacher changes
        its mind, all that it said before speaks for the class, and only the last verdicts speak against the answer.
        """
        if piece.head is not None:
            n, total = self._inputs.get(piece.head, (0, 0.0))
            self._inputs[piece.head] = n + 1, total + piece.score
        elif piece.answer_class is not None and self._is_first(one.name, piece):
            self.floor.add(piece.answer_class, piece.score, piece.confidence, piece.answer)
            if threshold is not None and piece.confidence >= threshold:
                self._lately.setdefault(piece.answer, deque(maxlen=_LATELY)).append(piece.score)
        self.groups.add(piece.groups, piece.score, piece.confidence)

    def _is_first(self, name: str, piece: Piece) -> bool:
        day, seen = self._today
        if piece.at.date() != day:
            day, seen = piece.at.date(), set()
            self._today = day, seen
        if (name, piece.answer) in seen:
            return False
        seen.add((name, piece.answer))
        return True

    def skips(self, piece: Piece) -> bool:
        """Whether a verdict is on what is withheld, and so no evidence of what is served."""
        held = self.held
        if piece.head is None and piece.confidence <= held.answers.get(piece.answer, -1.0):
            return True
        return piece.head in held.inputs or any(g in held.groups for g in piece.groups)

    def found(self, threshold: float, groups: Iterable[str] = ()) -> Withheld:
        """What is to be withheld where the student serves from a threshold on, with all that is withheld already."""
        wrong = _both(self.floor.withheld(threshold), self._carried_at(threshold))
        answers = {name: self._up_to(name, one, threshold) for name, one in wrong.items()}
        answers |= {name: ALWAYS for name, scores in self._lately.items() if _is_wrong(scores)}
        answers |= dict.fromkeys(self._renamed(threshold), ALWAYS)
        failing = (name for name, (n, total) in self._inputs.items() if n >= 2 and total < self._critical(n))
        return Withheld(
            answers=dict(sorted(_higher(self.held.answers, answers).items())),
            inputs=tuple(sorted({*self.held.inputs, *failing})),
            groups=tuple(sorted({*self.held.groups, *self.groups.failing(threshold), *groups})),
        )

    def _critical(self, n: int) -> int:
        return critical_agreements(n, self.floor.floor)

    def _up_to(self, answer: str, wrong: Confused, threshold: float) -> float:
        """The confidence up to which an answer is withheld that was wrong at one.

        Where it was wrong again while as sure as it usually is, confidence tells nothing: it is withheld altogether.
        """
        above = self._reach.above(answer, wrong.confidence)
        told_apart = wrong.times < _AGAIN or above >= _USUAL * self._reach.served(answer, threshold)
        return wrong.confidence if told_apart else ALWAYS

    def _renamed(self, threshold: float) -> set[str]:
        """The answers that the teacher has begun to call by another name, one that training never saw.

        What is new looks strange to the student, and it is unsure; what is renamed looks as it did, and it is as sure
        as it usually is. So calls tell that are far from being served, before any that is served is found wrong.
        """
        found = {
            (answer, wrong.times)
            for name in self.floor.unseen
            for answer, wrong in self.floor.taken_for(name).items()
            # What is new is taken for this and for that, what is renamed for what it was.
            if 2 * wrong.times >= self.floor.verdicts(name)
            and self._reach.is_usual(answer, wrong.confidence, threshold)
        }
        # Once may be a slip of the teacher's pen; not where it is known to rename.
        known = any(times >= _RENAMED for _, times in found)
        return {answer for answer, _ in found} if known else set()

    def _carried_at(self, threshold: float) -> dict[str, Confused]:
        return _both(*(answers for name, answers in self._carried.items() if not self._is_learned(name, threshold)))

    def _is_learned(self, name: str, threshold: float) -> bool:
        n, total = self.floor.counts(name, threshold)
        return n >= _LEAST_RELEASING and total >= self.floor.floor * n

    def failing(self, threshold: float) -> Failing:
        """The failing classes with what they are taken for, as a successor takes them over."""
        own = {name: self.floor.taken_for(name) for name in self.floor.failing(threshold)}
        kept = {name: answers for name, answers in self._carried.items() if not self._is_learned(name, threshold)}
        return {**kept, **own}

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        day, seen = self._today
        return {
            "floor": self.floor.state(),
            "groups": self.groups.state(),
            "held": self.held.model_dump(mode="json"),
            "carried": written(self._carried),
            "inputs": {name: list(counts) for name, counts in self._inputs.items()},
            "lately": {name: list(scores) for name, scores in self._lately.items()},
            "today": [day and day.isoformat(), sorted(map(list, seen))],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], reach: Reach) -> Self:
        """What `state` was taken from."""
        floor, groups = ClassFloor.from_state(state["floor"]), Subgroups.from_state(state["groups"])
        kept = cls(floor, groups, reach, carried=read(state["carried"]))
        kept.held = Withheld.model_validate(state["held"])
        kept._inputs = {name: (n, total) for name, (n, total) in state["inputs"].items()}
        kept._lately = {name: deque(scores, maxlen=_LATELY) for name, scores in state["lately"].items()}
        day, seen = state["today"]
        kept._today = day and date.fromisoformat(day), {(name, answer) for name, answer in seen}
        return kept


def _is_wrong(scores: Sequence[float]) -> bool:
    """Whether the last verdicts on an answer are too often wrong: three of three, four of five or six."""
    return len(scores) >= _FEWEST and sum(scores) < critical_agreements(len(scores), _PRECISION, alpha=_RARELY)


def _higher(*found: Mapping[str, float]) -> dict[str, float]:
    """All answers, each up to the highest confidence that is given for it."""
    merged: dict[str, float] = {}
    for answers in found:
        for name, sure in answers.items():
            merged[name] = max(sure, merged.get(name, 0.0))
    return merged


def _both(*found: Mapping[str, Confused]) -> dict[str, Confused]:
    """All answers, each with all that was wrong about it."""
    merged: dict[str, Confused] = {}
    for answers in found:
        for name, wrong in answers.items():
            merged[name] = together(merged.get(name), wrong)
    return merged


def written(failing: Failing) -> dict[str, dict[str, list[float]]]:
    """Failing classes for a snapshot."""
    return {name: {answer: list(wrong) for answer, wrong in answers.items()} for name, answers in failing.items()}


def read(saved: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, Confused]]:
    """The failing classes that were written."""
    return {
        name: {answer: Confused(sure, int(times)) for answer, (sure, times) in answers.items()}
        for name, answers in saved.items()
    }
