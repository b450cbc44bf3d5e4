"""State the agreement guarantee of the student in force, as its evidence supports it, and what contradicts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from understudies.backtest.report.formatting import format_quantity
from understudies.backtest.report.json_values import to_json
from understudies.budget.student_state import StudentState
from understudies.stats.bounds import clopper_pearson_upper

_MAX_CONFIDENCE = 1.0
_CANARY_ONLY_REASONS = {
    "traffic": (
        "it serves only the canary share, because it is confident on another share of the calls than it was proven on"
    ),
    "teacher": "it serves only the canary share, because another model answers as the teacher",
    "calendar": "it serves only the canary share, because it has not been judged on this kind of day yet",
}


@dataclass(frozen=True, slots=True)
class AgreementPromise:
    """The guarantee: its scope, its evidence, its exclusions and any contradiction, each as a sentence."""

    statement: str
    evidence: str
    exclusions: tuple[str, ...] = ()
    contradiction: str | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, student: StudentState, evidence: Mapping[str, Any]) -> Self | None:
        """Build the guarantee of a student in force from its gates' evidence; None if it has none."""
        threshold, p0 = student.promotion.threshold, evidence.get("p0")
        if not student.is_serving or threshold is None or p0 is None:
            return None
        promised = evidence.get("promised", p0)
        forward: Mapping[str, Any] = evidence.get("forward") or {}
        highest = clopper_pearson_upper(student.agreed, student.audited) if student.audited else 1.0
        return cls(
            statement=(
                f"{student.name} agrees with the teacher on at least {promised:.0%} of what it serves: "
                f"{_describe_scope(student)}"
            ),
            evidence=_describe_evidence(evidence, forward, student) + _describe_judge_error(evidence),
            exclusions=tuple(_describe_exclusions(student, evidence)),
            contradiction=(
                f"its audits contradict that: {student.agreed} of {student.audited} agreed, {highest:.1%} at most"
                if highest < p0
                else None
            ),
            numbers={
                "p0": promised,
                **({"demanded": p0, "judge_error": evidence["judge_error"]} if "judge_error" in evidence else {}),
                "threshold": None if threshold > _MAX_CONFIDENCE else threshold,
                "head_threshold": student.promotion.head_threshold,
                "coverage": student.proven_share,
                "distinct_inputs": evidence.get("calls"),
                "forward_calls": forward.get("calls"),
                "forward_days": forward.get("days"),
                "audited": student.audited,
                "audited_agreed": student.agreed,
                "withheld_answers": len(student.promotion.withheld.answers),
                "withheld_inputs": len(student.promotion.withheld.inputs),
                "withheld_groups": [*student.promotion.withheld.groups],
                "held": evidence.get("held"),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the guarantee as JSON types."""
        return {
            "what": self.statement,
            "evidence": self.evidence,
            "left_out": [*self.exclusions],
            "contradicted": self.contradiction,
            "numbers": to_json(self.numbers),
        }

    def sentences(self) -> list[str]:
        """Return all sentences of the guarantee."""
        return [text for text in (self.statement, self.evidence, *self.exclusions, self.contradiction) if text]


def _describe_scope(student: StudentState) -> str:
    share = f"{student.proven_share:.0%} of all calls"
    threshold = student.promotion.threshold or 0.0
    if threshold > _MAX_CONFIDENCE:
        return f"inputs that come often and are proven, {share}"
    return f"those where its confidence reaches {threshold:.3f}, {share}"


def _describe_evidence(evidence: Mapping[str, Any], forward: Mapping[str, Any], student: StudentState) -> str:
    days = forward.get("days") or 0
    distinct = evidence.get("calls", 0)
    return (
        f"held by {format_quantity(distinct, 'verdict')} on distinct {'input' if distinct == 1 else 'inputs'}, "
        f"by {format_quantity(forward.get('calls', 0), 'call')} in "
        f"{format_quantity(days, 'whole day')} since its dataset, and by {format_quantity(student.audited, 'audit')}"
    )


def _describe_exclusions(student: StudentState, evidence: Mapping[str, Any]) -> list[str]:
    """Describe what the guarantee excludes because it stays with the teacher."""
    withheld = student.promotion.withheld
    exclusions = []
    if evidence.get("held") in _CANARY_ONLY_REASONS:
        exclusions.append(_CANARY_ONLY_REASONS[evidence["held"]])
    head = evidence.get("head") or {}
    if head.get("inputs") and student.promotion.head_threshold is None:
        come, are = ("comes", "is") if head["inputs"] == 1 else ("come", "are")
        often = f"{format_quantity(head['inputs'], 'input')} that {come} often, {head['share']:.0%} of the calls"
        exclusions.append(f"{often}, {are} not proven yet")
    if withheld.answers:
        names = ", ".join(evidence.get("failing_classes") or ())
        exclusions.append(
            f"withheld: {len(withheld.answers)} of its answers" + (f", too often wrong for {names}" if names else "")
        )
    if withheld.inputs:
        exclusions.append(
            f"withheld: {format_quantity(len(withheld.inputs), 'input')} that it answers wrongly too often"
        )
    if withheld.groups:
        exclusions.append(f"withheld: {', '.join(withheld.groups)}, on which it agrees too seldom")
    return exclusions


def _describe_judge_error(evidence: Mapping[str, Any]) -> str:
    """Return what the judge's error took from the proof, as a sentence; empty for a judge that defines agreement."""
    error: Mapping[str, Any] = evidence.get("judge_error") or {}
    if error.get("bound") is None:
        return ""
    return (
        f". The judge errs, as people contradicted {error['contradicted']} of {error['marked']} of its agreements: by "
        f"it at least {evidence['p0']:.1%} is proven, less its error of at most {error['bound']:.1%}"
        + ("; it is the teacher itself that judges" if evidence.get("judge_is_teacher") else "")
    )
