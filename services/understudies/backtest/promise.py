"""What is promised of the student in force: no more than its evidence holds, and what speaks against it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from understudies.backtest.plain import plain
from understudies.budget.student_book import StudentBook
from understudies.stats import clopper_pearson_upper

_REACHED_BY_NONE = 1.0
_HELD = {
    "traffic": "it serves the canary share alone, as it is sure of another share of the calls than it was proven on",
    "teacher": "it serves the canary share alone, as another model answers as the teacher",
    "calendar": "it serves the canary share alone, as it was not judged on such days yet",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised, over which calls, on which evidence, and what contradicts it; each a sentence."""

    what: str
    evidence: str
    left_out: tuple[str, ...] = ()
    contradicted: str | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, student: StudentBook, evidence: Mapping[str, Any]) -> Self | None:
        """The promise of a student in force by what its gates know; None where it promises nothing."""
        threshold, p0 = student.story.threshold, evidence.get("p0")
        if not student.in_force or threshold is None or p0 is None:
            return None
        forward: Mapping[str, Any] = evidence.get("forward") or {}
        highest = clopper_pearson_upper(student.agreed, student.audited) if student.audited else 1.0
        return cls(
            what=f"{student.name} agrees with the teacher on at least {p0:.0%} of what it serves: {_over(student)}",
            evidence=_held_by(evidence, forward, student),
            left_out=tuple(_left_out(student, evidence)),
            contradicted=(
                f"its audits contradict that: {student.agreed} of {student.audited} agreed, {highest:.1%} at most"
                if highest < p0
                else None
            ),
            numbers={
                "p0": p0,
                "threshold": None if threshold > _REACHED_BY_NONE else threshold,
                "head_threshold": student.story.head_threshold,
                "coverage": student.proven_share,
                "distinct_inputs": evidence.get("calls"),
                "forward_calls": forward.get("calls"),
                "forward_days": forward.get("days"),
                "audited": student.audited,
                "audited_agreed": student.agreed,
                "withheld_answers": len(student.story.withheld.answers),
                "withheld_inputs": len(student.story.withheld.inputs),
                "withheld_groups": [*student.story.withheld.groups],
                "held": evidence.get("held"),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """The promise in the types of JSON."""
        return {
            "what": self.what,
            "evidence": self.evidence,
            "left_out": [*self.left_out],
            "contradicted": self.contradicted,
            "numbers": plain(self.numbers),
        }

    def sentences(self) -> list[str]:
        """All of it, a sentence each."""
        return [one for one in (self.what, self.evidence, *self.left_out, self.contradicted) if one]


def _over(student: StudentBook) -> str:
    share = f"{student.proven_share:.0%} of all calls"
    threshold = student.story.threshold or 0.0
    if threshold > _REACHED_BY_NONE:
        return f"inputs that come often and are proven, {share}"
    return f"those where its confidence reaches {threshold:.3f}, {share}"


def _held_by(evidence: Mapping[str, Any], forward: Mapping[str, Any], student: StudentBook) -> str:
    days = forward.get("days") or 0
    return (
        f"held by {evidence.get('calls', 0):,} verdicts on distinct inputs, by {forward.get('calls', 0):,} calls in "
        f"{days} whole {'day' if days == 1 else 'days'} since its dataset, and by {student.audited:,} audits"
    )


def _left_out(student: StudentBook, evidence: Mapping[str, Any]) -> list[str]:
    """What the promise does not cover, as it stays with the teacher."""
    withheld = student.story.withheld
    told = []
    if evidence.get("held") in _HELD:
        told.append(_HELD[evidence["held"]])
    head = evidence.get("head") or {}
    if head.get("inputs") and student.story.head_threshold is None:
        told.append(f"{head['inputs']} inputs that come often, {head['share']:.0%} of the calls, are not proven yet")
    if withheld.answers:
        names = ", ".join(evidence.get("failing_classes") or ())
        told.append(
            f"withheld: {len(withheld.answers)} of its answers" + (f", too often wrong for {names}" if names else "")
        )
    if withheld.inputs:
        told.append(f"withheld: {len(withheld.inputs)} inputs that it answers wrongly too often")
    if withheld.groups:
        told.append(f"withheld: {', '.join(withheld.groups)}, on which it agrees too seldom")
    return told
