"""The gates that count calls: every unbiased one after the dataset's last, as traffic brings them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Self

from understudies.evaluator.near_copies import SHARE, NearCopies
from understudies.evaluator.shape import Shape
from understudies.evaluator.waiting import Piece, Waiting, drawn
from understudies.stats import Judged, SelectiveGate
from understudies.students import Cluster, Input

DAY = timedelta(days=1)


class Forward:
    """The gate of the calls to come, repeats and inputs that were learned from included; one bet a conversation.

    Distinct inputs of the past say how often a student is right on an input, not on a call. Here a call counts as often
    as it comes, so what is proven is what users meet, as long as calls to come are like those that came. Inputs of the
    head, which many calls have, are a gate of their own, so that one that is answered wrongly holds up nothing else.

    A second gate takes the same calls with near copies of a text capped by day. An incident may hide in all calls what
    is wrong about the others, and a cap may hide what is wrong about the many; a threshold has to pass both.

    A look is at whole days of traffic, counted from its first call: each hour of the day then weighs what it weighs.
    """

    def __init__(
        self, tail: SelectiveGate, head: SelectiveGate | None, *, since: datetime, shape: Shape, student: str
    ) -> None:
        self.tail = tail
        self.capped = _anew(tail)
        self.head = head
        # At less than 1 - p0, calls of one text that are all wrong could be capped to what is forgiven.
        self.copies = NearCopies(max(SHARE, 1.0 - tail.p0))
        self.since = since
        """Only calls after this moment count."""
        self.first: datetime | None = None
        self._shape = shape
        self._student = student
        self._waiting = Waiting()
        self._marked_days = 0

    @property
    def gathered(self) -> int:
        """Conversations that were bet or wait for it."""
        return self.tail.n + len(self._waiting)

    @property
    def days(self) -> int:
        """Whole days of calls that were looked at."""
        return self._marked_days

    def takes(self, at: datetime, n_max: int) -> bool:
        """Whether a call of that time can still change what is decided."""
        return at > self.since and self.gathered < n_max

    def add(self, one: Input, piece: Piece, text: str | None = None) -> None:
        """Take in one call, to be bet with all of its conversation; its text tells which others are near copies."""
        self.first = min(self.first or piece.at, piece.at)
        copies = None if text is None else self.copies.place(text, piece.at.date())
        self._waiting.add(one.since(self._shape.openings), replace(piece, copies=copies))

    def bet(self, until: datetime) -> list[Cluster[Piece]]:
        """Feed the gates with the conversations that had run as long as conversations do by then."""
        due = self._waiting.due(until, self._shape.lasts)
        made: Counter[tuple[str, date]] = Counter()
        for cluster in due:
            pieces = drawn(cluster, self._student)[: self._shape.w_max]
            tail = [one for one in pieces if one.head is None]
            _bet(self.tail, tail, self._shape.w_max)
            if tail and self.copies.allows(tail[0].copies, tail[0].at.date(), made):
                _bet(self.capped, tail, self._shape.w_max)
            if self.head is not None:
                _bet(self.head, [one for one in pieces if one.head is not None], self._shape.w_max)
        self.copies.forget(until.date())
        return due

    @property
    def passing(self) -> list[bool]:
        """For each threshold, strictest first, whether it has passed with and without the cap on near copies."""
        return [a and b for a, b in zip(self.tail.passing, self.capped.passing, strict=True)]

    def spans(self, until: datetime, least: timedelta) -> bool:
        """Whether its traffic had lasted so long by then."""
        return self.first is not None and until - self.first >= least

    def mark(self, until: datetime) -> None:
        """Let the evidence count as it stands at the end of whole days."""
        self._marked_days = 0 if self.first is None else (until - self.first) // DAY
        self.tail.mark()
        self.capped.mark()
        if self.head is not None:
            self.head.mark()

    def share(self, threshold: float | None) -> float | None:
        """The share of the calls so far that reach a candidate; None where it is none, or there were no calls."""
        reached = next((one.calls for one in self.tail.evidence() if one.confidence == threshold), None)
        return None if reached is None or not self.tail.calls else reached / self.tail.calls

    def restart(self, since: datetime) -> None:
        """Forget all evidence; what comes after that moment is to prove the student anew."""
        self.tail, self.head = _anew(self.tail), self.head and _anew(self.head)
        self.capped = _anew(self.tail)
        self.since, self.first, self._marked_days = since, None, 0
        self._waiting.clear()

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "tail": self.tail.state(),
            "capped": self.capped.state(),
            "copies": self.copies.state(),
            "head": self.head and self.head.state(),
            "since": self.since.isoformat(),
            "first": self.first and self.first.isoformat(),
            "waiting": self._waiting.state(),
            "days": self._marked_days,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], shape: Shape, student: str) -> Self:
        """The gates that `state` was taken from."""
        head = state["head"] and SelectiveGate.from_state(state["head"])
        since = datetime.fromisoformat(state["since"])
        forward = cls(SelectiveGate.from_state(state["tail"]), head, since=since, shape=shape, student=student)
        forward.capped = SelectiveGate.from_state(state["capped"])
        forward.copies = NearCopies.from_state(state["copies"])
        forward.first = datetime.fromisoformat(state["first"]) if state["first"] else None
        forward._waiting = Waiting.from_state(state["waiting"])
        forward._marked_days = state["days"]
        return forward


def _bet(gate: SelectiveGate, pieces: Sequence[Piece], w_max: int) -> None:
    if pieces:
        gate.bet([Judged(one.score, one.confidence) for one in pieces], w_max=w_max)


def _anew(gate: SelectiveGate) -> SelectiveGate:
    return SelectiveGate(
        gate.thresholds,
        p0=gate.p0,
        alpha=gate.alpha,
        beta=gate.beta,
        n_max=gate.n_max,
        weights=gate.weights,
        at_marks=gate.at_marks,
    )
