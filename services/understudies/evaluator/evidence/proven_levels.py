"""Track the agreement levels proven for a student above its contract, and those announced."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.events import Promotion, ProvenLevels
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.levels import AgreementLevels

_MAX_AUDITED_NAMES: Final = 100_000
"""Names of audited inputs that are kept of a student: some fifty thousand inputs, in 20 MB."""


class ProvenLevelsTracker(SavedState):
    """The levels of one student, fed by the evidence of its gates and later by its audits.

    They need independent verdicts, so each conversation is represented by one call: one selected by a hash, not the
    first.
    """

    levels: AgreementLevels
    announced: Annotated[ProvenLevels, Key("told")]
    withdrawn: Annotated[bool, Key("fallen")]
    contract_broken: Annotated[bool, Key("over")]
    """Whether the contract itself is broken: then the student is demoted, and its levels are announced no more."""
    _audited: UsedInputs
    _pending: Annotated[PendingEvidence, Key("waiting", default=PendingEvidence)]
    _withdrawn_at: Annotated[datetime | None, Key("fell_at", default=lambda: None)]

    def __init__(self, levels: AgreementLevels) -> None:
        self.levels = levels
        self.announced = ()
        self.withdrawn = False
        self.contract_broken = False
        self._audited = UsedInputs()
        self._pending = PendingEvidence()
        self._withdrawn_at = None

    def add_inputs(self, conversation: Conversation[Observation], representative: Observation) -> None:
        """Feed a conversation that the gates have bet, by its representative verdict, unless it was audited.

        Verdicts from before the levels were withdrawn are no longer evidence.
        """
        if self._audited.is_unused(conversation) and (
            self._withdrawn_at is None or representative.at > self._withdrawn_at
        ):
            self.levels.update(representative.score, representative.confidence, "inputs", _served_from(representative))

    def add_calls(self, conversation: Conversation[Observation], student: str) -> None:
        """Feed a conversation of the calls to come, repeats included, by one verdict selected from it.

        Verdicts on calls on which the student itself was asked are left out: `add_audit` has fed those that count.
        """
        observations = [
            observation
            for observation in shuffle_observations(conversation, student)
            if observation.head is None and observation.served_from is None
        ]
        if observations and (self._withdrawn_at is None or observations[0].at > self._withdrawn_at):
            self.levels.update(observations[0].score, observations[0].confidence, "calls")

    def add_audit(
        self, observation: Observation, served_from: float, call_input: Input, *, unseen: bool, pace: float
    ) -> None:
        """Feed one audited verdict: to the detectors at once, and as evidence with its conversation.

        `served_from` is the threshold that the call had to reach, an episode's own if that is stricter; `unseen` states
        that the input was neither trained on nor fed to the gates. As a call it counts whatever its input.

        An input that is not remembered must not count a second time, so once `_MAX_AUDITED_NAMES` are kept, further
        audits tell of calls alone.
        """
        self.levels.update(observation.score, observation.confidence, "calls", served_from)
        if self.levels.update_detectors(observation.score, observation.confidence, served_from, pace):
            self.withdrawn, self._withdrawn_at = True, observation.at
            self._pending.clear()
        is_open = len(self._audited) + len(self._pending) < _MAX_AUDITED_NAMES
        if is_open and unseen and self._audited.is_unused(call_input) and not self._pending.contains(call_input):
            self._pending.add(call_input, replace(observation, served_from=served_from))

    def look(self, until: datetime, duration: timedelta, used: UsedInputs, student: str) -> None:
        """Test the levels at the end of a day; `used` holds the inputs that the gates have bet meanwhile."""
        for conversation in self._pending.pop_due(until, duration):
            if used.is_unused(conversation) and self._audited.is_unused(conversation):
                representative = shuffle_observations(conversation, student)[0]
                self.levels.update(
                    representative.score, representative.confidence, "inputs", _served_from(representative)
                )
            self._audited.mark_used(conversation)
        self.levels.look()

    def announce(self, threshold: float | None) -> None:
        """Mark the levels proven from a threshold on as announced."""
        self.announced, self.withdrawn = () if threshold is None else self.levels.proven(threshold), False

    def adopt(self, promotion: Promotion, p0: float) -> None:
        """Adopt the levels of a student's promotion after its trial was lost."""
        self.levels.adopt(promotion.levels)
        self.announced = promotion.levels or (() if promotion.threshold is None else ((p0, promotion.threshold),))


def _served_from(observation: Observation) -> float:
    return -math.inf if observation.served_from is None else observation.served_from
