"""What a student on trial is proven to beyond its task's promise, and what was told of it."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from understudies.evaluator.inputs import Inputs
from understudies.evaluator.waiting import Piece, Waiting, drawn
from understudies.events import Promotion, ProvenLevels
from understudies.stats import Levels
from understudies.students import Cluster, Input


class Beyond:
    """The levels of one student, fed by the evidence of its gates and later by its audits.

    They need independent verdicts, so one call speaks for each conversation: one drawn by a hash, not the first.
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.told: ProvenLevels = ()
        self.fallen = False
        self.over = False
        """Whether the promise itself is broken: then the student leaves, and nothing more is said of it."""
        self._audited = Inputs()
        self._waiting = Waiting()
        self._fell_at: datetime | None = None

    def add(self, cluster: Cluster[Piece], speaks: Piece) -> None:
        """Feed a conversation that the gates have bet, by the verdict that speaks for it, unless it was audited.

        What was judged before the levels fell proves nothing any more.
        """
        if self._audited.fresh(cluster) and (self._fell_at is None or speaks.at > self._fell_at):
            self.levels.update(speaks.score, speaks.confidence, "inputs")

    def call(self, cluster: Cluster[Piece], student: str) -> None:
        """Feed a conversation of the calls to come, repeats included, by one verdict drawn from it."""
        pieces = [piece for piece in drawn(cluster, student) if piece.head is None]
        if pieces and (self._fell_at is None or pieces[0].at > self._fell_at):
            self.levels.update(pieces[0].score, pieces[0].confidence, "calls")

    def audit(self, piece: Piece, served_from: float, one: Input, *, unseen: bool) -> None:
        """Feed one audited verdict: to the detectors at once, and as evidence with its conversation.

        `served_from` is the threshold that the call had to reach, an episode's own where that is stricter; `unseen`
        says that the input neither taught the student nor fed its gates. As a call it counts whatever its input.
        """
        self.levels.update(piece.score, piece.confidence, "calls", served_from)
        if self.levels.watch(piece.score, piece.confidence, served_from):
            self.fallen, self._fell_at = True, piece.at
            self._waiting.clear()
        if unseen and self._audited.fresh(one) and not self._waiting.knows(one):
            self._waiting.add(one, replace(piece, served_from=served_from))

    def look(self, until: datetime, lasts: timedelta, spent: Inputs, student: str) -> None:
        """Let the evidence count as it stands at the end of a day; `spent` is what the gates have bet meanwhile."""
        for cluster in self._waiting.due(until, lasts):
            if spent.fresh(cluster) and self._audited.fresh(cluster):
                speaks = drawn(cluster, student)[0]
                self.levels.update(speaks.score, speaks.confidence, "inputs", _from(speaks))
            self._audited.take(cluster)
        self.levels.look()

    def tell(self, threshold: float | None) -> None:
        """Note what is proven from a threshold on as told."""
        self.told, self.fallen = () if threshold is None else self.levels.proven(threshold), False

    def adopt(self, story: Promotion, p0: float) -> None:
        """Take over what the promotion of a student says, where its trial was lost."""
        self.levels.adopt(story.levels)
        self.told = story.levels or (() if story.threshold is None else ((p0, story.threshold),))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "levels": self.levels.state(),
            "told": [list(level) for level in self.told],
            "fallen": self.fallen,
            "over": self.over,
            "audited": self._audited.state(),
            "waiting": self._waiting.state(),
            "fell_at": self._fell_at and self._fell_at.isoformat(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `state` was taken from."""
        beyond = cls(Levels.from_state(state["levels"]))
        beyond.told = tuple((agreement, confidence) for agreement, confidence in state["told"])
        beyond.fallen, beyond.over = state["fallen"], state["over"]
        beyond._audited = Inputs(**state["audited"])
        beyond._waiting = Waiting.from_state(state.get("waiting", ()))
        fell_at = state.get("fell_at")
        beyond._fell_at = datetime.fromisoformat(fell_at) if fell_at else None
        return beyond


def _from(piece: Piece) -> float:
    return -math.inf if piece.served_from is None else piece.served_from
