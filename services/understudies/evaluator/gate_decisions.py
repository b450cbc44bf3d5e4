"""Describe a trial's result for its gate decision: the evidence in numbers, and the reason in words."""

from typing import Any

from understudies.evaluator.trial import Trial
from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD, TrialResult
from understudies.judges.fallible import human_marks, marks_needed
from understudies.judges.rubric import RubricJudge
from understudies.stats.consistency import agreement_ceiling
from understudies.stats.coverage import ThresholdEvidence, thin_thresholds
from understudies.stats.selective import SelectiveGate

_MAX_NAMES = 5
_CAUSES = {
    "traffic": "it is confident on a different share of calls than was proven",
    "teacher": "another model answers as the teacher",
    "calendar": "it has not been judged on this kind of day yet",
    "agreement": "its audits disagree",
}
_MIN_REPEATS = 30
_ROUNDING = 1e-9


def decision_evidence(trial: Trial, result: TrialResult | None = None) -> dict[str, Any]:
    """Return the evidence at the chosen threshold, and at candidates of every twentieth of the calls.

    That is the threshold of the result, or that of the promotion in force if there is no result.
    """
    result = result or trial.announced
    threshold = result.threshold if result and result.threshold is not None else trial.promotion.threshold
    inputs, calls = trial.selective_gate.evidence(), trial.call_gate.tail_gate.evidence()
    capped = trial.call_gate.capped_gate.passed_flags
    shown = {one.confidence for one in thin_thresholds(trial.thresholds)} | {threshold}
    curve = [
        _threshold_point(trial, *points)
        for points in zip(inputs, calls, capped, strict=True)
        if points[0].confidence in shown
    ]
    chosen = next((point for point in curve if point["threshold"] == threshold), None)
    withheld = result.withheld if result else trial.withholding.withheld
    return {
        "verdicts": trial.selective_gate.n,
        "calls": trial.selective_gate.calls,
        "w_max": trial.shape.w_max,
        "p0": trial.p0,
        **_judge_evidence(trial),
        "chosen": chosen,
        "curve": [*curve],
        "forward": _call_evidence(trial),
        "head": _head_evidence(trial, result),
        "withheld": withheld.model_dump(mode="json"),
        "failing_classes": [*sorted(trial.failing_classes())[:_MAX_NAMES]],
        "repeats": {"answers": trial.repeats[0], "alike": trial.repeats[1]},
        "held": result.held if result else None,
    }


def _judge_evidence(trial: Trial) -> dict[str, Any]:
    """Return what a judge that errs takes from the proof; empty for one that defines agreement."""
    marks = human_marks(trial.judge)
    if marks is None:
        return {}
    return {
        "judge_is_teacher": _is_judged_by_teacher(trial),
        "promised": round(trial.promised, 4),
        "judge_error": {"bound": _round(trial.judge_error), "contradicted": marks.false, "marked": marks.of},
    }


def _threshold_point(trial: Trial, inputs: ThresholdEvidence, calls: ThresholdEvidence, capped: bool) -> dict[str, Any]:
    return {
        "threshold": inputs.confidence,
        "coverage": round(inputs.coverage, 4),
        "n": inputs.n,
        "calls": inputs.calls,
        "agreement": _round(inputs.agreement),
        "e_value": _round_e_value(inputs.max_e),
        "needed": _evidence_needed(inputs.level, calls.level),
        "forward_n": calls.n,
        "forward_calls": calls.calls,
        "forward_agreement": _round(calls.agreement),
        "forward_e_value": _round_e_value(calls.max_e),
        "passed": inputs.passed and calls.passed and capped,
        "failing_classes": [*trial.withholding.class_floor.failing_classes(inputs.confidence)[:_MAX_NAMES]],
    }


def _call_evidence(trial: Trial) -> dict[str, Any]:
    gate = trial.call_gate
    return {
        "since": gate.since.isoformat(),
        "calls": gate.tail_gate.calls + (gate.head_gate.calls if gate.head_gate else 0),
        "conversations": gate.tail_gate.n,
        "days": gate.looked_days,
    }


def _head_evidence(trial: Trial, result: TrialResult | None) -> dict[str, Any]:
    gate = trial.call_gate.head_gate
    evidence = gate.evidence()[-1] if gate else None
    return {
        "inputs": len(trial.expected_coverage.head_calls),
        "share": round(trial.expected_coverage.head_share, 4),
        "threshold": result.head_threshold if result else trial.promotion.head_threshold,
        "calls": evidence.calls if evidence else 0,
        "agreement": _round(evidence.agreement) if evidence else None,
    }


def decision_reason(trial: Trial, result: TrialResult) -> str:
    """Return the reason in words, claiming no more than is proven."""
    if result.outcome == "promote":
        reason = _promotion_reason(trial, result)
        return f"{reason}; held at the canary share: {_CAUSES[result.held]}" if result.held else reason
    if result.outcome == "reject" and result.withheld:
        names = ", ".join(sorted(trial.failing_classes())[:_MAX_NAMES]) or ", ".join(
            result.withheld.groups[:_MAX_NAMES]
        )
        return f"all that it could serve is withheld, as it is too often wrong on: {names}"
    if result.outcome == "inconclusive" and trial.judge_error is None:
        return _unmeasured_judge_reason(trial)
    strictest = _evidence_against(trial)
    agreement = "unknown" if strictest.agreement is None else f"{strictest.agreement:.1%}"
    surest = f"agreement on the surest {strictest.coverage:.0%} is {agreement} of {strictest.calls} verdicts"
    if trial.shape.system.has_context:
        surest = f"{surest}; {trial.shape.system.description}"
    noise = describe_teacher_noise(*trial.repeats)
    if result.outcome == "reject":
        return f"shown to agree less than {_percent(trial.p0)} even where it is surest: {surest}{noise}"
    return f"nothing proven after {_count_text(trial.selective_gate)}, a better student is needed: {surest}{noise}"


def _unmeasured_judge_reason(trial: Trial) -> str:
    marks = human_marks(trial.judge)
    assert marks is not None
    return (
        f"the judge {trial.judge.name.partition('[')[0]} finds that it agrees, but proves nothing: {marks.description}"
        f"; have at least {marks_needed(trial.p0, trial.alpha)} of its agreements marked, and measure it with "
        "`understudies judge`"
    )


def _evidence_against(trial: Trial) -> ThresholdEvidence:
    gate = (
        trial.selective_gate
        if trial.selective_gate.is_rejected or not trial.call_gate.tail_gate.is_rejected
        else trial.call_gate.tail_gate
    )
    return gate.evidence()[0]


def _promotion_reason(trial: Trial, result: TrialResult) -> str:
    inputs, calls = _count_text(trial.selective_gate), _count_text(trial.call_gate.tail_gate)
    seen = f"after {inputs} on distinct inputs and {calls} on calls since"
    if result.threshold == UNREACHABLE_THRESHOLD:
        return f"answers {result.coverage:.0%} of the calls, inputs that come often and are proven, {seen}"
    highest = result.levels[-1] if trial.is_serving and result.levels else None
    proven = highest if highest is not None and highest[0] > trial.promised + _ROUNDING else None
    candidate = next((point for point in trial.thresholds if point.confidence == result.threshold), None)
    surest = f" on the surest {candidate.coverage:.0%} of calls" if candidate else ""
    reason = f"agrees at least {trial.promised:.0%}{surest}, {seen}"
    if proven is not None:
        reason = f"agrees at least {proven[0]:.1%} from confidence {proven[1]:.3f} on, {seen}"
    return reason + _judge_reason(trial) + _withheld_reason(trial, result)


def _is_judged_by_teacher(trial: Trial) -> bool:
    """Return whether the model that judges is one whose answers the student learned from: it may favour its own."""
    return isinstance(trial.judge, RubricJudge) and trial.judge.model in trial.changes.teachers


def _judge_reason(trial: Trial) -> str:
    """Return what the judge's error takes from the proof, in words; empty for a judge that defines agreement."""
    marks = human_marks(trial.judge)
    if marks is None or trial.judge_error is None:
        return ""
    return (
        f"; by the judge {trial.judge.name.partition('[')[0]} at least {trial.p0:.1%}, less its error of at most "
        f"{trial.judge_error:.1%}: {marks.description}"
        + ("; the judge is the teacher itself" if _is_judged_by_teacher(trial) else "")
    )


def _percent(share: float) -> str:
    """Return a share in percent, with a decimal where it is no whole one.

    >>> _percent(0.95), _percent(0.9738)
    ('95%', '97.4%')
    """
    return f"{share:.0%}" if abs(share * 100 - round(share * 100)) < 1e-6 else f"{share:.1%}"


def _withheld_reason(trial: Trial, result: TrialResult) -> str:
    withheld = result.withheld
    parts = []
    if withheld.answers:
        classes = ", ".join(sorted(trial.failing_classes())[:_MAX_NAMES])
        parts.append(_count(len(withheld.answers), "answer") + (f" (too often wrong for {classes})" if classes else ""))
    if withheld.inputs:
        parts.append(_count(len(withheld.inputs), "input"))
    if withheld.groups:
        parts.append(", ".join(withheld.groups[:_MAX_NAMES]))
    return f"; withheld: {', '.join(parts)}" if parts else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe_teacher_noise(answers: int, agreeing: int) -> str:
    """Describe the limit that the teacher's repeats set to any student's agreement.

    Empty if the repeats are few or all agree.

    >>> describe_teacher_noise(400, 400), describe_teacher_noise(29, 12)
    ('', '')
    >>> describe_teacher_noise(400, 368).removeprefix("; the teacher disagrees with itself on ")
    'about 8% of repeated inputs (32 of 400), no student can agree on more than 97%'
    """
    if answers < _MIN_REPEATS or agreeing == answers:
        return ""
    return (
        f"; the teacher disagrees with itself on about {1 - agreeing / answers:.0%} of repeated inputs "
        f"({answers - agreeing} of {answers}), no student can agree on more than "
        f"{agreement_ceiling(agreeing, answers):.0%}"
    )


def _count_text(gate: SelectiveGate) -> str:
    return f"{gate.calls} verdicts" if gate.n == gate.calls else f"{gate.calls} verdicts in {gate.n} conversations"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _evidence_needed(inputs_level: float, calls_level: float) -> float | None:
    """Return the e-value from which a threshold passes; None while none of the error budget is left for it."""
    level = min(inputs_level, calls_level or inputs_level)
    return _round_e_value(1.0 / level) if level > 0 else None


def _round_e_value(value: float) -> float:
    return float(f"{min(value, 1e12):.4g}")
