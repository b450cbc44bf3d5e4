"""The proof of a student against the model that is to succeed its teacher, before the teacher is retired."""

from datetime import datetime, timedelta
from typing import Annotated

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.call_gate import DAY, CallGate
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.missing_verdicts import MissingVerdicts, too_many_missing
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.trial_result import TrialResult, joint_result
from understudies.evaluator.withholding import Withholding
from understudies.persistence.saved_state import Key, SavedState


class SuccessionProof(SavedState):
    """The same proof as after the retirement, by a gate of calls that only the successor's answers feed.

    The successor is asked about calls drawn whoever served them. What the student is withheld from is measured anew as
    well. A look covers whole days, counted from the first of these calls. Answers under another name are those of
    another model, and the proof begins anew with it: no student is proven against a mixture of teachers.
    """

    model: str
    call_gate: Annotated[CallGate, Key("calls")]
    withholding: Withholding
    next_look_at: Annotated[datetime | None, Key("next_look")]
    result: TrialResult | None
    _missing_verdicts: Annotated[MissingVerdicts, Key(default=MissingVerdicts)]

    def __init__(self, model: str, call_gate: CallGate, withholding: Withholding) -> None:
        self.model = model
        self.call_gate = call_gate
        self.withholding = withholding
        self.next_look_at = None
        self.result = None
        self._missing_verdicts = MissingVerdicts()

    def attach(self, shape: ConversationShape, student: str, expected_coverage: ExpectedCoverage) -> None:
        """Set what the trial knows, and the snapshot holds once."""
        self.call_gate.attach(shape, student)
        self.withholding.attach(expected_coverage)

    def add(self, call_input: Input, observation: Observation, text: str, n_max: int) -> None:
        """Add the verdict on one call by the successor's answer."""
        self.withholding.add(call_input, observation)
        if self.withholding.is_withheld(observation) or not self.call_gate.can_use(observation.at, n_max):
            return
        if self.next_look_at is None:
            self.next_look_at = observation.at + DAY
        self.call_gate.add(call_input, observation, text)

    def count_verdict(self, at: datetime, *, given: bool) -> None:
        """Count a call that the judge was asked of."""
        self._missing_verdicts.count(at, given=given)

    def is_due(self, now: datetime) -> bool:
        """Return whether a day of calls has ended since the last look."""
        return self.next_look_at is not None and now >= self.next_look_at

    def look(
        self, now: datetime, input_gate: DistinctInputGate, expected_coverage: ExpectedCoverage, min_span: timedelta
    ) -> None:
        """Evaluate the gate at the end of the last whole day; all calls of that day must have been read."""
        if self.next_look_at is None or now < self.next_look_at:
            return
        until = self.next_look_at + DAY * ((now - self.next_look_at) // DAY)
        self.next_look_at = until + DAY
        if too_many_missing(*self._missing_verdicts.take(until)):
            # As in a trial: the other hours must not speak for the day.
            self.call_gate.discard(until)
        self.call_gate.place_bets(until)
        if self.call_gate.has_span(until, min_span):
            self.call_gate.mark(until)
        self.result = joint_result(input_gate, self.call_gate, expected_coverage)

    @property
    def is_proven(self) -> bool:
        """Return whether the student is proven to agree with the successor."""
        return self.result is not None and self.result.outcome == "promote"

    @property
    def description(self) -> str:
        """How far the proof is, in words."""
        if self.is_proven:
            return f"is proven against {self.model}"
        if self.result is not None and self.result.outcome == "reject":
            return f"is shown to agree too rarely with {self.model}"
        return f"is not proven against {self.model} yet, after {self.call_gate.collected} conversations"
