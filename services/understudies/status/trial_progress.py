"""Measure how far the gates of a student are, at the threshold that they test next."""

from understudies.evaluator.trial import Trial
from understudies.stats.bounds import anytime_lower_bound
from understudies.stats.coverage import ThresholdEvidence
from understudies.stats.selective import SelectiveGate
from understudies.status.standing import MeasuredAgreement, TrialProgress


def measure_progress(trial: Trial) -> TrialProgress | None:
    """Return the evidence at the threshold tested next; None if every threshold has passed."""
    inputs = trial.selective_gate.evidence()
    index = _index_tested_next(inputs)
    if index is None:
        return None
    calls = trial.call_gate.tail_gate.evidence()[index]
    return TrialProgress(
        input_evidence=_round(inputs[index].max_e),
        call_evidence=_round(calls.max_e),
        evidence_needed=_round(1.0 / min(inputs[index].level, calls.level or inputs[index].level)),
        verdicts=round(trial.selective_gate.calls),
        calls=round(trial.call_gate.tail_gate.calls),
        whole_days=trial.call_gate.looked_days,
    )


def measure_gate_agreement(trial: Trial) -> MeasuredAgreement | None:
    """Return the agreement on distinct inputs at the threshold in force, else the one tested first; None without any.

    The one tested first is chosen before a verdict is seen, so the bound holds; at one in force, the gate's own proof
    is the stronger statement.
    """
    gate = trial.selective_gate
    index = _index_in_force(gate, trial.promotion.threshold) if trial.is_serving else _index_tested_first(gate)
    if index is None:
        return None
    agreed, compared = gate.agreement_counts(index)
    if not compared:
        return None
    return MeasuredAgreement(
        agreed=agreed,
        compared=compared,
        lower=anytime_lower_bound(agreed, compared),
        basis=f"distinct inputs, the surest {gate.thresholds[index].coverage:.0%}",
    )


def _index_tested_next(evidence: list[ThresholdEvidence]) -> int | None:
    """Return the index of the test with the largest part of the error budget that has not passed; None at the end."""
    if evidence[-1].passed:
        return None
    open_tests = [index for index, point in enumerate(evidence) if not point.passed and point.level > 0]
    return max(open_tests, key=lambda index: evidence[index].level, default=None)


def _index_tested_first(gate: SelectiveGate) -> int:
    return max(range(len(gate.weights)), key=gate.weights.__getitem__)


def _index_in_force(gate: SelectiveGate, threshold: float | None) -> int | None:
    return next((index for index, point in enumerate(gate.thresholds) if point.confidence == threshold), None)


def _round(value: float) -> float:
    return float(f"{min(value, 1e12):.4g}")
