"""Create the gates of a trial, which share its error budget."""

from collections.abc import Sequence
from typing import NamedTuple

from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage, head_thresholds
from understudies.evaluator.settings import EvaluatorSettings
from understudies.stats.coverage import Threshold
from understudies.stats.fallback import sequence_weights
from understudies.stats.selective import SelectiveGate
from understudies.stats.spending import alpha_for_trial


class TrialGates(NamedTuple):
    """The gate of distinct inputs, that of the calls to come, and that of the calls with head inputs, if there are any.

    Each of the first two errs with probability at most alpha if its own model of traffic holds.
    """

    inputs: SelectiveGate
    calls: SelectiveGate
    head: SelectiveGate | None


def trial_alpha(settings: EvaluatorSettings, student: str) -> float:
    """Return the error budget of a student's trial: alpha, or its part of one alpha over all students of the task."""
    if not settings.over_all_students:
        return settings.alpha
    # The student's version is the number of its trial among those of the task.
    return alpha_for_trial(settings.alpha, int(student.rpartition("@")[2]))


def create_gates(
    candidates: Sequence[Threshold],
    expected_coverage: ExpectedCoverage,
    *,
    p0: float,
    alpha: float,
    settings: EvaluatorSettings,
    start: int | None,
) -> TrialGates:
    """Create the gates of a trial over its candidate thresholds, strictest first.

    `start` is the index of the candidate at which the fixed sequences of tests begin, the same for all, as a candidate
    must pass them all; without one, each candidate has its part of the error budget.
    """

    def create(thresholds: Sequence[Threshold], level: float, start: int | None) -> SelectiveGate:
        weights = None if start is None else sequence_weights(len(thresholds), start)
        return SelectiveGate(
            thresholds,
            p0=p0,
            alpha=level,
            beta=settings.beta,
            n_max=settings.n_max,
            weights=weights,
            at_marks=True,
        )

    heads = head_thresholds([confidence for confidence, _ in expected_coverage.head_calls.values()])
    # Both strata of the calls to come share one error budget, as both are served.
    stratum_alpha = alpha / 2 if heads else alpha
    return TrialGates(
        create(candidates, alpha, start),
        create(candidates, stratum_alpha, start),
        create([Threshold(confidence, 0.0) for confidence in heads], stratum_alpha, None) if heads else None,
    )
