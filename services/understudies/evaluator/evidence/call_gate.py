"""The gates that count calls: every unbiased one after the dataset's last, as traffic brings them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Self

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.near_copy_cap import MIN_DAILY_SHARE, NearCopyCap
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.stats.coverage import ScoredCall
from understudies.stats.selective import SelectiveGate

DAY = timedelta(days=1)


class CallGate:
    """The gate of the calls to come, repeats and inputs that were learned from included; one bet a conversation.

    Distinct inputs of the past say how often a student is right on an input, not on a call. Here a call counts as often
    as it comes, so what is proven is what users meet, as long as calls to come are like those that came. Inputs of the
    head, which many calls have, are a gate of their own, so that one that is answered wrongly holds up nothing else.

    A second gate takes the same calls with near copies of a text capped by day. An incident may hide in all calls what
    is wrong about the others, and a cap may hide what is wrong about the many; a threshold has to pass both.

    A look is at whole days of traffic, counted from its first call: each hour of the day then weighs what it weighs.
    """

    def __init__(
        self,
        tail: SelectiveGate,
        head: SelectiveGate | None,
        *,
        since: datetime,
        shape: ConversationShape,
        student: str,
    ) -> None:
        self.tail_gate = tail
        self.capped_gate = _copy_without_evidence(tail)
        self.head_gate = head
        # At less than 1 - p0, calls of one text that are all wrong could be capped to what is forgiven.
        self.near_copies = NearCopyCap(max(MIN_DAILY_SHARE, 1.0 - tail.p0))
        self.since = since
        """Only calls after this moment count."""
        self.first_at: datetime | None = None
        self._shape = shape
        self._student = student
        self._pending = PendingEvidence()
        self._marked_days = 0

    @property
    def collected(self) -> int:
        """Conversations that were bet or wait for it."""
        return self.tail_gate.n + len(self._pending)

    @property
    def looked_days(self) -> int:
        """Whole days of calls that were looked at."""
        return self._marked_days

    def can_use(self, at: datetime, n_max: int) -> bool:
        """Whether a call of that time can still change what is decided."""
        return at > self.since and self.collected < n_max

    def add(self, one: Input, observation: Observation, text: str | None = None) -> None:
        """Take in one call, to be bet with all of its conversation; its text tells which others are near copies."""
        self.first_at = min(self.first_at or observation.at, observation.at)
        copies = None if text is None else self.near_copies.record(text, observation.at.date())
        self._pending.add(one.without_openings(self._shape.openings), replace(observation, copies=copies))

    def place_bets(self, until: datetime) -> list[Conversation[Observation]]:
        """Feed the gates with the conversations that had run as long as conversations do by then."""
        due = self._pending.pop_due(until, self._shape.duration)
        made: Counter[tuple[str, date]] = Counter()
        for cluster in due:
            pieces = shuffle_observations(cluster, self._student)[: self._shape.w_max]
            tail = [one for one in pieces if one.head is None]
            _bet(self.tail_gate, tail, self._shape.w_max)
            if tail and self.near_copies.admit(tail[0].copies, tail[0].at.date(), made):
                _bet(self.capped_gate, tail, self._shape.w_max)
            if self.head_gate is not None:
                _bet(self.head_gate, [one for one in pieces if one.head is not None], self._shape.w_max)
        self.near_copies.expire(until.date())
        return due

    @property
    def passed_flags(self) -> list[bool]:
        """For each threshold, strictest first, whether it has passed with and without the cap on near copies."""
        return [a and b for a, b in zip(self.tail_gate.passed_flags, self.capped_gate.passed_flags, strict=True)]

    def has_span(self, until: datetime, least: timedelta) -> bool:
        """Whether its traffic had lasted so long by then."""
        return self.first_at is not None and until - self.first_at >= least

    def mark(self, until: datetime) -> None:
        """Let the evidence count as it stands at the end of whole days."""
        self._marked_days = 0 if self.first_at is None else (until - self.first_at) // DAY
        self.tail_gate.mark()
        self.capped_gate.mark()
        if self.head_gate is not None:
            self.head_gate.mark()

    def share_reaching(self, threshold: float | None) -> float | None:
        """The share of the calls so far that reach a candidate; None where it is none, or there were no calls."""
        reached = next((one.calls for one in self.tail_gate.evidence() if one.confidence == threshold), None)
        return None if reached is None or not self.tail_gate.calls else reached / self.tail_gate.calls

    def restart(self, since: datetime) -> None:
        """Forget all evidence; what comes after that moment is to prove the student anew."""
        self.tail_gate, self.head_gate = (
            _copy_without_evidence(self.tail_gate),
            self.head_gate and _copy_without_evidence(self.head_gate),
        )
        self.capped_gate = _copy_without_evidence(self.tail_gate)
        self.since, self.first_at, self._marked_days = since, None, 0
        self._pending.clear()

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "tail": self.tail_gate.state(),
            "capped": self.capped_gate.state(),
            "copies": self.near_copies.state(),
            "head": self.head_gate and self.head_gate.state(),
            "since": self.since.isoformat(),
            "first": self.first_at and self.first_at.isoformat(),
            "waiting": self._pending.state(),
            "days": self._marked_days,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], shape: ConversationShape, student: str) -> Self:
        """The gates that `state` was taken from."""
        head = state["head"] and SelectiveGate.from_state(state["head"])
        since = datetime.fromisoformat(state["since"])
        forward = cls(SelectiveGate.from_state(state["tail"]), head, since=since, shape=shape, student=student)
        forward.capped_gate = SelectiveGate.from_state(state["capped"])
        forward.near_copies = NearCopyCap.from_state(state["copies"])
        forward.first_at = datetime.fromisoformat(state["first"]) if state["first"] else None
        forward._pending = PendingEvidence.from_state(state["waiting"])
        forward._marked_days = state["days"]
        return forward


def _bet(gate: SelectiveGate, pieces: Sequence[Observation], w_max: int) -> None:
    if pieces:
        gate.bet([ScoredCall(one.score, one.confidence) for one in pieces], w_max=w_max)


def _copy_without_evidence(gate: SelectiveGate) -> SelectiveGate:
    return SelectiveGate(
        gate.thresholds,
        p0=gate.p0,
        alpha=gate.alpha,
        beta=gate.beta,
        n_max=gate.n_max,
        weights=gate.weights,
        at_marks=gate.at_marks,
    )
