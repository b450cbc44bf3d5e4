"""The result of a trial: the decision, and what may be served under it."""

from dataclasses import dataclass
from typing import Final, Literal

from understudies.evaluator.evidence.call_gate import CallGate
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.events import NOTHING_WITHHELD, Cause, ProvenLevels, Withheld
from understudies.persistence.saved_state import SavedState

TrialOutcome = Literal["promote", "reject", "inconclusive"]

UNREACHABLE_THRESHOLD: Final = 2.0
"""A threshold above every confidence: only head inputs are served."""
_MIN_HEAD_SHARE: Final = 0.05
"""The minimum share of the calls for a proven head to be served when nothing else is proven."""


@dataclass(frozen=True, slots=True)
class TrialResult(SavedState):
    """A gate decision with its thresholds, what is withheld, and the share of calls that remains.

    `held` is the cause for which a serving student is restricted to the canary share; None without a restriction.
    """

    outcome: TrialOutcome
    threshold: float | None = None
    head_threshold: float | None = None
    withheld: Withheld = NOTHING_WITHHELD
    coverage: float = 0.0
    levels: ProvenLevels = ()
    held: Cause | None = None


def joint_result(
    input_gate: DistinctInputGate, call_gate: CallGate, expected_coverage: ExpectedCoverage
) -> TrialResult | None:
    """Return the joint decision of the gates as of their last marks; None while undecided."""
    distinct = input_gate.gate
    joint = [a and b for a, b in zip(distinct.passed_flags, call_gate.passed_flags, strict=True)]
    loosest = max((index for index, passed in enumerate(joint) if passed), default=None)
    head = call_gate.head_gate and call_gate.head_gate.loosest_passed
    head_threshold = head.confidence if head else None
    if distinct.is_rejected or call_gate.tail_gate.is_rejected:
        return TrialResult("reject")
    if loosest is not None:
        return TrialResult("promote", distinct.thresholds[loosest].confidence, head_threshold)
    if expected_coverage.share(None, head_threshold) >= _MIN_HEAD_SHARE:
        return TrialResult("promote", UNREACHABLE_THRESHOLD, head_threshold)
    is_exhausted = distinct.is_exhausted and not any(distinct.passed_flags)
    return TrialResult("inconclusive") if is_exhausted or call_gate.tail_gate.is_exhausted else None
