"""What a student on trial is proven to beyond its task's promise, and what was told of it."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.events import Promotion, ProvenLevels
from understudies.stats.levels import AgreementLevels


class ProvenLevelsTracker:
    """The levels of one student, fed by the evidence of its gates and later by its audits.

    They need independent verdicts, so one call speaks for each conversation: one drawn by a hash, not the first.
    """

    def __init__(self, levels: AgreementLevels) -> None:
        self.levels = levels
        self.announced: ProvenLevels = ()
        self.withdrawn = False
        self.contract_broken = False
        """Whether the promise itself is broken: then the student leaves, and nothing more is said of it."""
        self._audited = UsedInputs()
        self._pending = PendingEvidence()
        self._withdrawn_at: datetime | None = None

    def add_inputs(self, conversation: Conversation[Observation], representative: Observation) -> None:
        """Feed a conversation that the gates have bet, by the verdict that speaks for it, unless it was audited.

        What was judged before the levels fell proves nothing any more.
        """
        if self._audited.is_unused(conversation) and (
            self._withdrawn_at is None or representative.at > self._withdrawn_at
        ):
            self.levels.update(representative.score, representative.confidence, "inputs")

    def add_calls(self, conversation: Conversation[Observation], student: str) -> None:
        """Feed a conversation of the calls to come, repeats included, by one verdict drawn from it."""
        pieces = [piece for piece in shuffle_observations(conversation, student) if piece.head is None]
        if pieces and (self._withdrawn_at is None or pieces[0].at > self._withdrawn_at):
            self.levels.update(pieces[0].score, pieces[0].confidence, "calls")

    def add_audit(self, observation: Observation, served_from: float, one: Input, *, unseen: bool) -> None:
        """Feed one audited verdict: to the detectors at once, and as evidence with its conversation.

        `served_from` is the threshold that the call had to reach, an episode's own where that is stricter; `unseen`
        says that the input neither taught the student nor fed its gates. As a call it counts whatever its input.
        """
        self.levels.update(observation.score, observation.confidence, "calls", served_from)
        if self.levels.update_detectors(observation.score, observation.confidence, served_from):
            self.withdrawn, self._withdrawn_at = True, observation.at
            self._pending.clear()
        if unseen and self._audited.is_unused(one) and not self._pending.contains(one):
            self._pending.add(one, replace(observation, served_from=served_from))

    def look(self, until: datetime, duration: timedelta, used: UsedInputs, student: str) -> None:
        """Let the evidence count as it stands at the end of a day; `used` is what the gates have bet meanwhile."""
        for cluster in self._pending.pop_due(until, duration):
            if used.is_unused(cluster) and self._audited.is_unused(cluster):
                speaks = shuffle_observations(cluster, student)[0]
                self.levels.update(speaks.score, speaks.confidence, "inputs", _served_from(speaks))
            self._audited.mark_used(cluster)
        self.levels.look()

    def announce(self, threshold: float | None) -> None:
        """Note what is proven from a threshold on as told."""
        self.announced, self.withdrawn = () if threshold is None else self.levels.proven(threshold), False

    def adopt(self, promotion: Promotion, p0: float) -> None:
        """Take over what the promotion of a student says, where its trial was lost."""
        self.levels.adopt(promotion.levels)
        self.announced = promotion.levels or (() if promotion.threshold is None else ((p0, promotion.threshold),))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "levels": self.levels.state(),
            "told": [list(level) for level in self.announced],
            "fallen": self.withdrawn,
            "over": self.contract_broken,
            "audited": self._audited.state(),
            "waiting": self._pending.state(),
            "fell_at": self._withdrawn_at and self._withdrawn_at.isoformat(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `state` was taken from."""
        beyond = cls(AgreementLevels.from_state(state["levels"]))
        beyond.announced = tuple((agreement, confidence) for agreement, confidence in state["told"])
        beyond.withdrawn, beyond.contract_broken = state["fallen"], state["over"]
        beyond._audited = UsedInputs(**state["audited"])
        beyond._pending = PendingEvidence.from_state(state.get("waiting", ()))
        fell_at = state.get("fell_at")
        beyond._withdrawn_at = datetime.fromisoformat(fell_at) if fell_at else None
        return beyond


def _served_from(piece: Observation) -> float:
    return -math.inf if piece.served_from is None else piece.served_from
