"""What is known of a student as its decisions tell it: the evidence in numbers, and the reason in words."""

from typing import Any

from understudies.evaluator.finding import UNREACHED, Finding
from understudies.evaluator.trial import Trial
from understudies.stats import SelectiveGate, ThresholdEvidence, ceiling

_NAMED = 5
_CAUSES = {
    "traffic": "it is sure of another share of the calls than it was proven on",
    "teacher": "another model answers as the teacher",
    "calendar": "it was not judged on such days yet",
    "agreement": "its audits disagree",
}
_LEAST_REPEATS = 30


def evidence_of(trial: Trial, found: Finding | None = None) -> dict[str, Any]:
    """What the gates know, at the threshold of a finding (else of the promotion in force) and at all candidates."""
    found = found or trial.announced
    threshold = found.threshold if found and found.threshold is not None else trial.story.threshold
    inputs, calls = trial.gate.evidence(), trial.forward.tail.evidence()
    capped = trial.forward.capped.passing
    curve = [_point(trial, *of_all) for of_all in zip(inputs, calls, capped, strict=True)]
    chosen = next((point for point in curve if point["threshold"] == threshold), None)
    withheld = found.withheld if found else trial.withholding.held
    return {
        "verdicts": trial.gate.n,
        "calls": trial.gate.calls,
        "w_max": trial.shape.w_max,
        "p0": trial.p0,
        "chosen": chosen,
        "curve": [*curve],
        "forward": _forward(trial),
        "head": _head(trial, found),
        "withheld": withheld.model_dump(mode="json"),
        "failing_classes": [*sorted(trial.failing())[:_NAMED]],
        "repeats": {"answers": trial.repeats[0], "alike": trial.repeats[1]},
        "held": found.held if found else None,
    }


def _point(trial: Trial, inputs: ThresholdEvidence, calls: ThresholdEvidence, capped: bool) -> dict[str, Any]:
    return {
        "threshold": inputs.confidence,
        "coverage": round(inputs.coverage, 4),
        "n": inputs.n,
        "calls": inputs.calls,
        "agreement": _rounded(inputs.agreement),
        "e_value": _e(inputs.max_e),
        "forward_n": calls.n,
        "forward_calls": calls.calls,
        "forward_agreement": _rounded(calls.agreement),
        "forward_e_value": _e(calls.max_e),
        "passed": inputs.passed and calls.passed and capped,
        "failing_classes": [*trial.withholding.floor.failing(inputs.confidence)[:_NAMED]],
    }


def _forward(trial: Trial) -> dict[str, Any]:
    forward = trial.forward
    return {
        "since": forward.since.isoformat(),
        "calls": forward.tail.calls + (forward.head.calls if forward.head else 0),
        "conversations": forward.tail.n,
        "days": forward.days,
    }


def _head(trial: Trial, found: Finding | None) -> dict[str, Any]:
    gate = trial.forward.head
    known = gate.evidence()[-1] if gate else None
    return {
        "inputs": len(trial.reach.head),
        "share": round(trial.reach.head_share, 4),
        "threshold": found.head_threshold if found else trial.story.head_threshold,
        "calls": known.calls if known else 0,
        "agreement": _rounded(known.agreement) if known else None,
    }


def reason_of(trial: Trial, found: Finding) -> str:
    """Why, in words that claim no more than is held."""
    if found.outcome == "promote":
        told = _promoted(trial, found)
        return f"{told}; held at the canary share: {_CAUSES[found.held]}" if found.held else told
    if found.outcome == "reject" and found.withheld:
        names = ", ".join(sorted(trial.failing())[:_NAMED]) or ", ".join(found.withheld.groups[:_NAMED])
        return f"all that it could serve is withheld, as it is too often wrong on: {names}"
    strictest = _evidence_against(trial)
    agreement = "unknown" if strictest.agreement is None else f"{strictest.agreement:.1%}"
    surest = f"agreement on the surest {strictest.coverage:.0%} is {agreement} of {strictest.calls} verdicts"
    if trial.shape.system.varies:
        surest = f"{surest}; {trial.shape.system.reason}"
    noise = noise_of(*trial.repeats)
    if found.outcome == "reject":
        return f"shown to agree less than {trial.p0:.0%} even where it is surest: {surest}{noise}"
    return f"nothing proven after {_seen(trial.gate)}, a better student is needed: {surest}{noise}"


def _evidence_against(trial: Trial) -> ThresholdEvidence:
    gate = trial.gate if trial.gate.rejected or not trial.forward.tail.rejected else trial.forward.tail
    return gate.evidence()[0]


def _promoted(trial: Trial, found: Finding) -> str:
    seen = f"after {_seen(trial.gate)} on distinct inputs and {_seen(trial.forward.tail)} on calls since"
    if found.threshold == UNREACHED:
        return f"answers {found.coverage:.0%} of the calls, inputs that come often and are proven, {seen}"
    proven = found.levels[-1] if trial.in_service and found.levels and found.levels[-1][0] > trial.p0 else None
    candidate = next((one for one in trial.thresholds if one.confidence == found.threshold), None)
    surest = f" on the surest {candidate.coverage:.0%} of calls" if candidate else ""
    told = f"agrees at least {trial.p0:.0%}{surest}, {seen}"
    if proven is not None:
        told = f"agrees at least {proven[0]:.1%} from confidence {proven[1]:.3f} on, {seen}"
    return told + _without(trial, found)


def _without(trial: Trial, found: Finding) -> str:
    withheld = found.withheld
    parts = []
    if withheld.answers:
        of = ", ".join(sorted(trial.failing())[:_NAMED])
        parts.append(f"{len(withheld.answers)} answers" + (f" (too often wrong for {of})" if of else ""))
    if withheld.inputs:
        parts.append(f"{len(withheld.inputs)} inputs")
    if withheld.groups:
        parts.append(", ".join(withheld.groups[:_NAMED]))
    return f"; withheld: {', '.join(parts)}" if parts else ""


def noise_of(answers: int, alike: int) -> str:
    """What the teacher's repeats say of the agreement that any student can reach; nothing where they are few or equal.

    >>> noise_of(400, 400), noise_of(29, 12)
    ('', '')
    >>> noise_of(400, 368).removeprefix("; the teacher disagrees with itself on ")
    'about 8% of repeated inputs (32 of 400), no student can agree on more than 98%'
    """
    if answers < _LEAST_REPEATS or alike == answers:
        return ""
    return (
        f"; the teacher disagrees with itself on about {1 - alike / answers:.0%} of repeated inputs "
        f"({answers - alike} of {answers}), no student can agree on more than {ceiling(alike, answers):.0%}"
    )


def _seen(gate: SelectiveGate) -> str:
    return f"{gate.calls} verdicts" if gate.n == gate.calls else f"{gate.calls} verdicts in {gate.n} conversations"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _e(value: float) -> float:
    return float(f"{min(value, 1e12):.4g}")
