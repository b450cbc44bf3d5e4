"""The gate that counts distinct inputs: what the student learned nothing from, each input once."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any, Self

from understudies.evaluator.inputs import Inputs
from understudies.evaluator.near_copies import NearCopies
from understudies.evaluator.shape import Shape
from understudies.evaluator.waiting import Piece, Waiting, drawn
from understudies.stats import Judged, SelectiveGate
from understudies.students import Cluster, Input


class Distinct:
    """One verdict for each input that the student was not trained on; the calls of a conversation are one bet.

    Repeats that come together in time, as in an incident, make calls lie: here they count once, and near copies of one
    text no more than its share of a usual day. Verdicts wait until whole days have ended.
    """

    def __init__(self, gate: SelectiveGate, *, off_limits: Inputs, shape: Shape, student: str) -> None:
        self.gate = gate
        self.spent = off_limits
        self.copies = NearCopies()
        self._shape = shape
        self._student = student
        self._waiting = Waiting()
        self._first: datetime | None = None
        self._last: datetime | None = None

    @property
    def gathered(self) -> int:
        """Conversations that were bet or wait for it; a lone call is one."""
        return self.gate.n + len(self._waiting)

    def counts(self, one: Input) -> bool:
        """Whether a verdict on this input would be the first, in a conversation that the student never saw."""
        one = one.since(self._shape.openings)
        return self.spent.fresh(one) and not self._waiting.knows(one)

    def takes(self, one: Input, n_max: int) -> bool:
        """Whether a verdict on this input can still change what is decided.

        Once enough conversations were bet or wait, what goes on from those that wait is taken all the same.
        """
        room = self.gathered < n_max
        return self.counts(one) and (room or self._waiting.continues(one.since(self._shape.openings)))

    def group(self, text: str, at: datetime) -> str:
        """The near copies that a text belongs to, counted for its day."""
        return self.copies.place(text, at.date())

    def add(self, one: Input, piece: Piece) -> None:
        """Take in one verdict, to be bet with all of its conversation."""
        self._waiting.add(one.since(self._shape.openings), piece)

    def bet(self, until: datetime) -> list[tuple[Cluster[Piece], Piece]]:
        """Feed the gate with what is due; each conversation that counted, with the verdict that speaks for it."""
        counted: list[tuple[Cluster[Piece], Piece]] = []
        made: Counter[tuple[str, date]] = Counter()
        for cluster in self._waiting.due(until, self._shape.lasts):
            pieces = drawn(cluster, self._student)[: self._shape.w_max]
            self._spend(cluster)
            speaks = pieces[0]
            if not self.copies.allows(speaks.copies, speaks.at.date(), made):
                continue
            self.gate.bet([Judged(one.score, one.confidence) for one in pieces], w_max=self._shape.w_max)
            counted.append((cluster, speaks))
        self.copies.forget(until.date())
        return counted

    def _spend(self, cluster: Cluster[Piece]) -> None:
        self.spent.take(cluster)
        for _, piece in cluster.members:
            self._first = min(self._first or piece.at, piece.at)
            self._last = max(self._last or piece.at, piece.at)

    def spans(self, least: timedelta) -> bool:
        """Whether the evidence spans so much time."""
        return self._first is not None and self._last is not None and self._last - self._first >= least

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "gate": self.gate.state(),
            "spent": self.spent.state(),
            "copies": self.copies.state(),
            "waiting": self._waiting.state(),
            "first": self._first and self._first.isoformat(),
            "last": self._last and self._last.isoformat(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], shape: Shape, student: str) -> Self:
        """What `state` was taken from; from before near copies were told apart, none are known."""
        gate = SelectiveGate.from_state(state["gate"])
        distinct = cls(gate, off_limits=Inputs(**state["spent"]), shape=shape, student=student)
        if "copies" in state:
            distinct.copies = NearCopies.from_state(state["copies"])
        distinct._waiting = Waiting.from_state(state.get("waiting", ()))
        distinct._first = datetime.fromisoformat(state["first"]) if state["first"] else None
        distinct._last = datetime.fromisoformat(state["last"]) if state["last"] else None
        return distinct
