"""The gate over distinct inputs: those that the student was not trained on, each counted once."""

from datetime import datetime, timedelta
from typing import Annotated

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.near_copy_cap import NearCopyCap
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.coverage import ScoredCall
from understudies.stats.selective import SelectiveGate


class DistinctInputGate(SavedState):
    """One verdict for each input that the student was not trained on; the calls of a conversation are one bet.

    Repeats that are clustered in time, as in an incident, bias an estimate by call: here they count once, and near
    copies of one text at most their share of a usual day. Verdicts wait until whole days have ended.
    """

    gate: SelectiveGate
    used: Annotated[UsedInputs, Key("spent")]
    near_copies: Annotated[NearCopyCap, Key("copies", default=NearCopyCap)]
    _pending: Annotated[PendingEvidence, Key("waiting", default=PendingEvidence)]
    _first: datetime | None
    _last: datetime | None

    def __init__(self, gate: SelectiveGate, *, used: UsedInputs, shape: ConversationShape, student: str) -> None:
        self.gate = gate
        self.used = used
        self.near_copies = NearCopyCap()
        self._pending = PendingEvidence()
        self._first = None
        self._last = None
        self.attach(shape, student)

    def attach(self, shape: ConversationShape, student: str) -> None:
        """Set what the trial knows, and the snapshot holds once."""
        self._shape = shape
        self._student = student

    @property
    def collected(self) -> int:
        """The number of conversations that were bet or are pending; a lone call counts as one."""
        return self.gate.n + len(self._pending)

    def is_new_input(self, call_input: Input) -> bool:
        """Return whether an input is new to the gate, in a conversation that the student has not seen."""
        call_input = call_input.without_openings(self._shape.openings)
        return self.used.is_unused(call_input) and not self._pending.contains(call_input)

    def can_use(self, call_input: Input, n_max: int) -> bool:
        """Return whether a verdict on this input can still affect the decision.

        Once enough conversations were bet or are pending, calls that continue a pending one are still accepted.
        """
        has_room = self.collected < n_max
        return self.is_new_input(call_input) and (
            has_room or self._pending.is_linked(call_input.without_openings(self._shape.openings))
        )

    def near_copy_group(self, text: str, at: datetime) -> str:
        """Return the group of near copies of a text, counted for its day."""
        return self.near_copies.record(text, at.date())

    def add(self, call_input: Input, observation: Observation) -> None:
        """Add one verdict, to be bet with its whole conversation."""
        self._pending.add(call_input.without_openings(self._shape.openings), observation)

    def place_bets(self, until: datetime) -> list[tuple[Conversation[Observation], Observation]]:
        """Feed the gate with the complete conversations; return those counted, each with a representative verdict."""
        counted: list[tuple[Conversation[Observation], Observation]] = []
        for conversation in self._pending.pop_due(until, self._shape.duration):
            observations = shuffle_observations(conversation, self._student)[: self._shape.w_max]
            self._mark_used(conversation)
            representative = observations[0]
            if not self.near_copies.admit(representative.copies, representative.at.date()):
                continue
            self.gate.bet(
                [ScoredCall(observation.score, observation.confidence) for observation in observations],
                w_max=self._shape.w_max,
            )
            counted.append((conversation, representative))
        self.near_copies.expire(until.date())
        return counted

    def _mark_used(self, conversation: Conversation[Observation]) -> None:
        self.used.mark_used(conversation)
        for _, observation in conversation.members:
            self._first = min(self._first or observation.at, observation.at)
            self._last = max(self._last or observation.at, observation.at)

    @property
    def is_empty(self) -> bool:
        """Return whether no verdict was bet yet."""
        return self._first is None

    def has_span(self, minimum: timedelta) -> bool:
        """Return whether the evidence spans at least that time."""
        return self._first is not None and self._last is not None and self._last - self._first >= minimum
