"""The canary ramp: the share of eligible calls that a student may serve, and the evidence worth paying for."""

import math
from datetime import datetime, timedelta
from typing import Any

from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState
from understudies.stats.gate import Gate

WEEK_DAYS = 7


def next_share(
    student: StudentState,
    settings: BudgetSettings,
    p0: float,
    now: datetime,
) -> float | None:
    """Return the next share of the ramp, or None until the current step has lasted and proven enough."""
    larger_shares = [share for share in settings.canary if share > student.promotion.share]
    if not larger_shares or student.step_since is None:
        return None
    if now - student.step_since < timedelta(hours=settings.step_hours):
        return None
    if student.step_audited < verdicts_needed(student.promotion.share, settings) or not _has_step_evidence(
        student, p0, settings.step_evidence
    ):
        return None
    return larger_shares[0]


def verdicts_needed(share: float, settings: BudgetSettings) -> int:
    """Return how many audited verdicts the step at a share needs.

    >>> verdicts_needed(0.25, BudgetSettings()), verdicts_needed(0.5, BudgetSettings())
    (10, 35)
    """
    step = sum(known < share for known in settings.canary)
    return settings.step_verdicts[min(step, len(settings.step_verdicts) - 1)]


def _has_step_evidence(student: StudentState, p0: float, max_reject_e: float) -> bool:
    """Return whether the step's audits support the next step; not being rejected yet is not enough.

    At evidence below 20, as for a rejection, a student that agrees 87% passes a step of 10 audits with probability .97
    and one of 35 with .84; at 1.5 with .62 and .32, while one that agrees 97% passes with .97.
    """
    return Gate.from_counts(student.step_agreed, student.step_audited, p0=p0).reject_e <= max_reject_e


def trial_audit_rate(settings: BudgetSettings, calls_per_day: float) -> float:
    """Return the share of a serving student's answers to audit for a proof.

    A proof takes some hundred calls, whatever their rate: where these come in a day anyway, a part of them is enough;
    where they do not, auditing fewer would cost as much and only take longer.

    >>> trial_audit_rate(BudgetSettings(), 2000), trial_audit_rate(BudgetSettings(), 150)
    (0.25, 1.0)
    """
    return round(min(1.0, settings.trial_calls_per_day / max(calls_per_day, 1.0)), 4)


def is_evidence_worthwhile(student: StudentState, settings: BudgetSettings, calls_per_day: float) -> bool:
    """Return whether a day of more audits promises to pay, by proving looser thresholds sooner.

    What is proven lies below what seems good enough by a margin that shrinks with the square root of the evidence. So
    of a gap g after n calls, d more close g * (1 - sqrt(n / (n + d))), for as long as the student is expected to serve;
    audits at the rate of a trial cost that part of what it serves for a day.
    """
    gathered = _forward_calls(student)
    gap = promising_share(student) - threshold_coverage(student)
    if not gathered or gap <= 0.0 or calls_per_day <= 0.0:
        return False
    rate = trial_audit_rate(settings, calls_per_day)
    closed = gap * (1.0 - math.sqrt(gathered / (gathered + rate * calls_per_day)))
    return closed * settings.successor_weeks * WEEK_DAYS > rate * student.proven_share


def _forward_calls(student: StudentState) -> float:
    """Return the calls since its dataset on which it was judged: at its last decision, and by audits since then."""
    evidence: dict[str, Any] = dict(student.decision.evidence) if student.decision else {}
    calls = float(evidence.get("forward", {}).get("calls", 0))
    audited = student.audited - student.audited_before_decision
    return calls + audited / max(student.proven_share, 0.01)


def promising_share(student: StudentState) -> float:
    """Return the largest share of calls on which the student agrees well enough so far, proven or not."""
    evidence: dict[str, Any] = dict(student.decision.evidence) if student.decision else {}
    p0 = evidence.get("p0", 1.0)
    agreeing = [point for point in evidence.get("curve", []) if (point["agreement"] or 0.0) >= p0]
    return max(threshold_coverage(student), *(float(point["coverage"]) for point in agreeing), 0.0)


def threshold_coverage(student: StudentState) -> float:
    """Return the share of calls that reach the threshold, withheld ones included: those do not depend on it."""
    chosen: Any = student.decision.evidence.get("chosen") if student.decision else None
    return float(chosen["coverage"]) if chosen else student.proven_share
