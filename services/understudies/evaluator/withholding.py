"""What a student must not answer though its gates have passed: answers, inputs of the head, groups of calls."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Self

from understudies.evaluator.waiting import Piece
from understudies.events import NOTHING_WITHHELD, Withheld
from understudies.stats import ClassFloor, Subgroups, critical_agreements
from understudies.students import Input

_LEAST_RELEASING = 5
"""Verdicts of a class that its predecessor failed, before a successor is taken for having learned it."""


class Withholding:
    """Looks for what is answered wrongly though the calls as a whole are not.

    A class of answers and an input of the head fail when agreements as few have probability below .05 at the floor;
    what a class was taken for is withheld, and so is the input. Subgroups by tenant and tag are told by e-BH. What is
    withheld once stays so for the student, and what a class was taken for goes on to successors until they have shown
    better.
    """

    def __init__(
        self, floor: ClassFloor, groups: Subgroups, *, carried: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.floor = floor
        self.groups = groups
        self.held = NOTHING_WITHHELD
        self._carried = {name: list(answers) for name, answers in (carried or {}).items()}
        self._inputs: dict[str, tuple[int, float]] = {}
        self._today: tuple[date | None, set[tuple[str, str]]] = (None, set())

    def add(self, one: Input, piece: Piece) -> None:
        """Take in one verdict; of an input's repeats, a class of answers counts the first of each day."""
        if piece.head is not None:
            n, total = self._inputs.get(piece.head, (0, 0.0))
            self._inputs[piece.head] = n + 1, total + piece.score
        elif piece.answer_class is not None and self._is_first(one.name, piece):
            self.floor.add(piece.answer_class, piece.score, piece.confidence, piece.answer)
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
        return piece.answer in held.answers or piece.head in held.inputs or any(g in held.groups for g in piece.groups)

    def found(self, threshold: float, groups: Iterable[str] = ()) -> Withheld:
        """What is to be withheld where the student serves from a threshold on, with all that is withheld already."""
        answers = {*self.floor.withheld(threshold), *self._carried_at(threshold)}
        failing = (name for name, (n, total) in self._inputs.items() if n >= 2 and total < self._critical(n))
        return Withheld(
            answers=tuple(sorted({*self.held.answers, *answers})),
            inputs=tuple(sorted({*self.held.inputs, *failing})),
            groups=tuple(sorted({*self.held.groups, *self.groups.failing(threshold), *groups})),
        )

    def _critical(self, n: int) -> int:
        return critical_agreements(n, self.floor.floor)

    def _carried_at(self, threshold: float) -> set[str]:
        found: set[str] = set()
        for name, answers in self._carried.items():
            n, total = self.floor.counts(name, threshold)
            if n < _LEAST_RELEASING or total < self.floor.floor * n:
                found |= set(answers)
        return found

    def failing(self, threshold: float) -> dict[str, list[str]]:
        """The failing classes with what they are taken for, as a successor takes them over."""
        own = {name: self.floor.taken_for(name) for name in self.floor.failing(threshold)}
        kept = {
            name: answers
            for name, answers in self._carried.items()
            if set(answers) & self._carried_at(threshold) and name not in own
        }
        return {**kept, **own}

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        day, seen = self._today
        return {
            "floor": self.floor.state(),
            "groups": self.groups.state(),
            "held": self.held.model_dump(mode="json"),
            "carried": self._carried,
            "inputs": {name: list(counts) for name, counts in self._inputs.items()},
            "today": [day and day.isoformat(), sorted(map(list, seen))],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `state` was taken from."""
        kept = cls(
            ClassFloor.from_state(state["floor"]), Subgroups.from_state(state["groups"]), carried=state["carried"]
        )
        kept.held = Withheld.model_validate(state["held"])
        kept._inputs = {name: (n, total) for name, (n, total) in state["inputs"].items()}
        day, seen = state["today"]
        kept._today = day and date.fromisoformat(day), {(name, answer) for name, answer in seen}
        return kept
