"""The gates over calls: every unbiased call after the dataset's last, at its frequency in traffic."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.near_copy_cap import MIN_DAILY_SHARE, NearCopyCap
from understudies.evaluator.evidence.pending_evidence import Observation, PendingEvidence, shuffle_observations
from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.coverage import ScoredCall
from understudies.stats.selective import SelectiveGate

DAY = timedelta(days=1)


class CallGate(SavedState):
    """The gate of the calls to come, including repeats and inputs trained on; one bet for each conversation.

    Distinct inputs of the past show how often a student is right on an input, not on a call. Here a call counts as
    often as it occurs, so the proven agreement is the one that users meet, as long as calls to come resemble past ones.
    Head inputs, which many calls share, have their own gate, so that one that is answered wrongly does not hold up the
    rest.

    A second gate takes the same calls with near copies of a text capped by day. In all calls, an incident may mask
    errors on the other calls, and a cap may mask errors on the frequent ones; a threshold has to pass both.

    A look covers whole days of traffic, counted from its first call: each hour of the day then has its actual weight.
    """

    tail_gate: Annotated[SelectiveGate, Key("tail")]
    capped_gate: Annotated[SelectiveGate, Key("capped")]
    near_copies: Annotated[NearCopyCap, Key("copies")]
    head_gate: Annotated[SelectiveGate | None, Key("head")]
    since: datetime
    """Only calls after this time count."""
    first_at: Annotated[datetime | None, Key("first")]
    _pending: Annotated[PendingEvidence, Key("waiting")]
    _marked_days: Annotated[int, Key("days")]

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
        # At less than 1 - p0, calls of one text that are all wrong could be capped to the tolerated error rate.
        self.near_copies = NearCopyCap(max(MIN_DAILY_SHARE, 1.0 - tail.p0))
        self.since = since
        self.first_at = None
        self._pending = PendingEvidence()
        self._marked_days = 0
        self.attach(shape, student)

    def attach(self, shape: ConversationShape, student: str) -> None:
        """Set what the trial knows, and the snapshot holds once."""
        self._shape = shape
        self._student = student

    @property
    def collected(self) -> int:
        """The number of conversations that were bet or are pending."""
        return self.tail_gate.n + len(self._pending)

    @property
    def looked_days(self) -> int:
        """The number of whole days of calls that were evaluated."""
        return self._marked_days

    def can_use(self, at: datetime, n_max: int) -> bool:
        """Return whether a call of that time can still affect the decision."""
        return at > self.since and self.collected < n_max

    def add(self, call_input: Input, observation: Observation, text: str | None = None) -> None:
        """Add one call, to be bet with its whole conversation; its text determines its group of near copies."""
        self.first_at = min(self.first_at or observation.at, observation.at)
        near_copies = None if text is None else self.near_copies.record(text, observation.at.date())
        self._pending.add(call_input.without_openings(self._shape.openings), replace(observation, copies=near_copies))

    def place_bets(self, until: datetime) -> list[Conversation[Observation]]:
        """Feed the gates with the conversations that were complete by then, given their usual duration; return them."""
        conversations = self._pending.pop_due(until, self._shape.duration)
        for conversation in conversations:
            observations = shuffle_observations(conversation, self._student)[: self._shape.w_max]
            tail = [observation for observation in observations if observation.head is None]
            _bet(self.tail_gate, tail, self._shape.w_max)
            if tail and self.near_copies.admit(tail[0].copies, tail[0].at.date()):
                _bet(self.capped_gate, tail, self._shape.w_max)
            if self.head_gate is not None:
                _bet(
                    self.head_gate,
                    [observation for observation in observations if observation.head is not None],
                    self._shape.w_max,
                )
        self.near_copies.expire(until.date())
        return conversations

    def discard(self, until: datetime) -> None:
        """Leave out the conversations that were complete by then, and keep the evidence before them."""
        self._pending.pop_due(until, self._shape.duration)
        self.near_copies.expire(until.date())

    @property
    def passed_flags(self) -> list[bool]:
        """For each threshold, strictest first, whether it has passed both with and without the near-copy cap."""
        return [a and b for a, b in zip(self.tail_gate.passed_flags, self.capped_gate.passed_flags, strict=True)]

    def has_span(self, until: datetime, minimum: timedelta) -> bool:
        """Return whether the traffic had spanned at least that time by then."""
        return self.first_at is not None and until - self.first_at >= minimum

    def mark(self, until: datetime) -> None:
        """Count the evidence at the end of whole days."""
        self._marked_days = 0 if self.first_at is None else (until - self.first_at) // DAY
        self.tail_gate.mark()
        self.capped_gate.mark()
        if self.head_gate is not None:
            self.head_gate.mark()

    def share_reaching(self, threshold: float | None) -> float | None:
        """Return the share of the calls so far that reach a candidate; None if it is no candidate or without calls."""
        reached = next((point.calls for point in self.tail_gate.evidence() if point.confidence == threshold), None)
        return None if reached is None or not self.tail_gate.calls else reached / self.tail_gate.calls

    def without_evidence(self, since: datetime) -> "CallGate":
        """Return a gate of the same thresholds for the calls after a time, with a history of texts of its own."""
        head = self.head_gate and _copy_without_evidence(self.head_gate)
        tail = _copy_without_evidence(self.tail_gate)
        return CallGate(tail, head, since=since, shape=self._shape, student=self._student)

    def restart(self, since: datetime) -> None:
        """Discard all evidence; calls after that time must prove the student again."""
        self.tail_gate, self.head_gate = (
            _copy_without_evidence(self.tail_gate),
            self.head_gate and _copy_without_evidence(self.head_gate),
        )
        self.capped_gate = _copy_without_evidence(self.tail_gate)
        self.since, self.first_at, self._marked_days = since, None, 0
        self._pending.clear()


def _bet(gate: SelectiveGate, observations: Sequence[Observation], w_max: int) -> None:
    if observations:
        gate.bet([ScoredCall(observation.score, observation.confidence) for observation in observations], w_max=w_max)


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
