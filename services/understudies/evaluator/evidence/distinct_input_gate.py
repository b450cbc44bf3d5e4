"""The gate that counts distinct inputs: what the student learned nothing from, each input once."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any, Self

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.near_copy_cap import NearCopyCap
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.stats.coverage import ScoredCall
from understudies.stats.selective import SelectiveGate


class DistinctInputGate:
    """One verdict for each input that the student was not trained on; the calls of a conversation are one bet.

    Repeats that come together in time, as in an incident, make calls lie: here they count once, and near copies of one
    text no more than its share of a usual day. Verdicts wait until whole days have ended.
    """

    def __init__(self, gate: SelectiveGate, *, used: UsedInputs, shape: ConversationShape, student: str) -> None:
        self.gate = gate
        self.used = used
        self.near_copies = NearCopyCap()
        self._shape = shape
        self._student = student
        self._pending = PendingEvidence()
        self._first: datetime | None = None
        self._last: datetime | None = None

    @property
    def collected(self) -> int:
        """Conversations that were bet or wait for it; a lone call is one."""
        return self.gate.n + len(self._pending)

    def is_new_input(self, one: Input) -> bool:
        """Whether a verdict on this input would be the first, in a conversation that the student never saw."""
        one = one.without_openings(self._shape.openings)
        return self.used.is_unused(one) and not self._pending.contains(one)

    def can_use(self, one: Input, n_max: int) -> bool:
        """Whether a verdict on this input can still change what is decided.

        Once enough conversations were bet or wait, what goes on from those that wait is taken all the same.
        """
        room = self.collected < n_max
        return self.is_new_input(one) and (room or self._pending.is_linked(one.without_openings(self._shape.openings)))

    def near_copy_group(self, text: str, at: datetime) -> str:
        """The near copies that a text belongs to, counted for its day."""
        return self.near_copies.record(text, at.date())

    def add(self, one: Input, observation: Observation) -> None:
        """Take in one verdict, to be bet with all of its conversation."""
        self._pending.add(one.without_openings(self._shape.openings), observation)

    def place_bets(self, until: datetime) -> list[tuple[Conversation[Observation], Observation]]:
        """Feed the gate with what is due; each conversation that counted, with the verdict that speaks for it."""
        counted: list[tuple[Conversation[Observation], Observation]] = []
        made: Counter[tuple[str, date]] = Counter()
        for cluster in self._pending.pop_due(until, self._shape.duration):
            pieces = shuffle_observations(cluster, self._student)[: self._shape.w_max]
            self._mark_used(cluster)
            speaks = pieces[0]
            if not self.near_copies.admit(speaks.copies, speaks.at.date(), made):
                continue
            self.gate.bet([ScoredCall(one.score, one.confidence) for one in pieces], w_max=self._shape.w_max)
            counted.append((cluster, speaks))
        self.near_copies.expire(until.date())
        return counted

    def _mark_used(self, cluster: Conversation[Observation]) -> None:
        self.used.mark_used(cluster)
        for _, piece in cluster.members:
            self._first = min(self._first or piece.at, piece.at)
            self._last = max(self._last or piece.at, piece.at)

    def has_span(self, least: timedelta) -> bool:
        """Whether the evidence spans so much time."""
        return self._first is not None and self._last is not None and self._last - self._first >= least

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "gate": self.gate.state(),
            "spent": self.used.state(),
            "copies": self.near_copies.state(),
            "waiting": self._pending.state(),
            "first": self._first and self._first.isoformat(),
            "last": self._last and self._last.isoformat(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], shape: ConversationShape, student: str) -> Self:
        """What `state` was taken from; from before near copies were told apart, none are known."""
        gate = SelectiveGate.from_state(state["gate"])
        distinct = cls(gate, used=UsedInputs(**state["spent"]), shape=shape, student=student)
        if "copies" in state:
            distinct.near_copies = NearCopyCap.from_state(state["copies"])
        distinct._pending = PendingEvidence.from_state(state.get("waiting", ()))
        distinct._first = datetime.fromisoformat(state["first"]) if state["first"] else None
        distinct._last = datetime.fromisoformat(state["last"]) if state["last"] else None
        return distinct
