"""Profile a task by its calls, to decide whether it is worth distilling before anything is spent."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from understudies.economics.sketch import DistinctCounter, FrequentKeys
from understudies.persistence.saved_state import SavedState

TaskKind = Literal["closed_set", "structured", "repetitive", "open", "unknown"]
Recommendation = Literal["yes", "maybe", "no", "unknown"]

# The caps limit a profile to about 1 MB in memory and 0.2 MB as state, however long the task runs.
FINGERPRINT_CAP = 4096
ANSWER_CAP = 1024
TEMPLATE_CAP = 256

CLOSED_SET_SIZE = 100
MIN_CALLS = 50
# With fewer calls a closed set with many labels still meets new ones, so a task is not yet classified as open.
MIN_CALLS_FOR_OPEN = 500

_RECOMMENDATIONS: dict[TaskKind, Recommendation] = {
    "closed_set": "yes",
    "structured": "yes",
    "repetitive": "yes",
    "unknown": "unknown",
}


class TaskProfile(SavedState):
    """Fold over a task's calls that determines the kind of the task.

    - closed set: most answers are among the 100 most frequent, each given more than once, and answers are far
      fewer than inputs, so they are a choice and not an echo;
    - structured: nearly all answers are JSON objects or arrays;
    - repetitive: most requests were seen before, so a cache may serve them;
    - open: none of these; not worth an attempt if answers are long and rarely repeat.

    Only the gate can determine whether answers are predictable: random draws from a closed set look closed, too.
    Answers are compared without regard to case and whitespace, and only their hashes are kept. Mutable in place,
    because its counters hold thousands of keys; distinct requests and answers are exact up to 4,096 of each,
    frequent answers up to 1,024 distinct ones and templates up to 256, then estimated.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> profile = TaskProfile()
    >>> for i in range(200):
    ...     at = datetime(2025, 1, 1, tzinfo=timezone.utc)
    ...     profile.update("classify", ["refund", "cancel"][i % 2], f"request {i}", valid_json=False, at=at)
    >>> profile.kind, profile.recommendation, profile.reason
    ('closed_set', 'yes', '100% of 200 calls got one of 2 repeated answers.')
    """

    __slots__ = (
        "_answers",
        "_fingerprints",
        "_frequent",
        "_templates",
        "answer_chars",
        "calls",
        "first_at",
        "json_calls",
        "last_at",
    )
    calls: int
    json_calls: int
    answer_chars: int
    first_at: datetime | None
    last_at: datetime | None
    _fingerprints: DistinctCounter
    _answers: DistinctCounter
    _frequent: FrequentKeys
    _templates: FrequentKeys

    def __init__(self) -> None:
        self.calls = 0
        self.json_calls = 0
        self.answer_chars = 0
        self.first_at = None
        self.last_at = None
        self._fingerprints = DistinctCounter(FINGERPRINT_CAP)
        self._answers = DistinctCounter(FINGERPRINT_CAP)
        self._frequent = FrequentKeys(ANSWER_CAP)
        self._templates = FrequentKeys(TEMPLATE_CAP)

    def update(self, template: str, answer: str, fingerprint: str, *, valid_json: bool, at: datetime) -> None:
        """Count one answered call.

        Parameters
        ----------
        template
            Key of the request's template: its text with the variable parts masked.
        answer
            The teacher's answer as text.
        fingerprint
            Fingerprint of the request; equal for equal inputs.
        valid_json
            Whether the answer is a JSON object or array.
        at
            The time of the call, in UTC.

        Raises
        ------
        ValueError
            When `at` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"at must have a time zone, got {at!r}")
        normalized = " ".join(answer.casefold().split())
        self.calls += 1
        self.json_calls += valid_json
        self.answer_chars += len(answer)
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)
        self._fingerprints.add(fingerprint)
        self._answers.add(normalized)
        self._frequent.add(normalized)
        self._templates.add(template)

    @property
    def distinct_requests(self) -> int:
        """The number of distinct request fingerprints."""
        return self._fingerprints.estimate

    @property
    def distinct_answers(self) -> int:
        """The number of distinct answers, ignoring case and whitespace."""
        return self._answers.estimate

    @property
    def repeated_answers(self) -> int:
        """The number of answers given at least twice among the 100 most frequent: the classes of a closed set."""
        return len(self._repeated)

    @property
    def answer_variety(self) -> float:
        """The number of distinct answers divided by the number of calls, in [0, 1]."""
        return min(1.0, self._share(self.distinct_answers))

    @property
    def closed_set_share(self) -> float:
        """The share of calls whose answer is among the 100 most frequent and was given at least twice."""
        return self._share(sum(self._repeated))

    @property
    def json_share(self) -> float:
        """The share of answers that are JSON objects or arrays."""
        return self._share(self.json_calls)

    @property
    def mean_answer_chars(self) -> float:
        """The mean length of an answer in characters."""
        return self._share(self.answer_chars)

    @property
    def repeated_share(self) -> float:
        """The share of calls whose request had been seen before."""
        return max(0.0, 1.0 - self._share(self.distinct_requests)) if self.calls else 0.0

    @property
    def template_share(self) -> float:
        """The share of calls made from a template that was used at least twice."""
        return self._share(sum(self._templates.top(TEMPLATE_CAP, at_least=2)))

    @property
    def calls_per_hour(self) -> float | None:
        """The mean number of calls per hour over the observed time; None while that is shorter than an hour."""
        if self.first_at is None or self.last_at is None:
            return None
        hours = (self.last_at - self.first_at).total_seconds() / 3600
        return self.calls / hours if hours >= 1 else None

    @property
    def kind(self) -> TaskKind:
        """The kind of the task, by the calls so far."""
        if self.calls < MIN_CALLS:
            return "unknown"
        # At least twice as many inputs as answers; otherwise each answer may only echo its own repeated request.
        chosen = 2 * self.repeated_answers <= self.distinct_requests
        if self.closed_set_share >= 0.8 and chosen:
            return "closed_set"
        if self.json_share >= 0.9:
            return "structured"
        if self.repeated_share >= 0.5:
            return "repetitive"
        unsettled = self.calls < MIN_CALLS_FOR_OPEN and self.closed_set_share >= 0.2
        return "unknown" if unsettled else "open"

    @property
    def recommendation(self) -> Recommendation:
        """The recommendation on distilling: `maybe` for open tasks whose answers are short or often repeat."""
        kind = self.kind
        if kind != "open":
            return _RECOMMENDATIONS[kind]
        return "no" if self.mean_answer_chars >= 200 and self.closed_set_share < 0.3 else "maybe"

    @property
    def reason(self) -> str:
        """The reason for the recommendation in one sentence, with its numbers."""
        calls = f"{self.calls:,} calls"
        match self.kind:
            case "closed_set":
                return f"{self.closed_set_share:.0%} of {calls} got one of {self.repeated_answers} repeated answers."
            case "structured":
                return f"{self.json_share:.0%} of {calls} were answered in JSON."
            case "repetitive":
                return f"{self.repeated_share:.0%} of {calls} repeat an earlier request."
            case "open":
                return (
                    f"Answers to {calls} are free text of {self.mean_answer_chars:,.0f} characters on average, "
                    f"{self.answer_variety:.0%} of them distinct."
                )
            case "unknown":
                needed = MIN_CALLS if self.calls < MIN_CALLS else MIN_CALLS_FOR_OPEN
                return f"{calls} are too few to decide; {needed} are needed."

    @property
    def _repeated(self) -> list[int]:
        return self._frequent.top(CLOSED_SET_SIZE, at_least=2)

    def _share(self, amount: int) -> float:
        return amount / self.calls if self.calls else 0.0
