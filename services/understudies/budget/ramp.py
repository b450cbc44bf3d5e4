"""The canary ramp: the share of eligible calls that a student may serve."""

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
    *,
    max_share: float = 1.0,
    reduced_since: datetime | None = None,
) -> float | None:
    """Return the next share of the ramp, or None until the current step has lasted and proven enough.

    `max_share` reserves part of the calls for the teacher while a successor is on trial; `reduced_since` is the time
    since which the task's students have been given less than the full share.
    """
    larger_shares = [
        min(share, max_share) for share in settings.canary if min(share, max_share) > student.promotion.share
    ]
    if not larger_shares or student.step_since is None:
        return None
    if now - student.step_since < timedelta(hours=settings.step_hours):
        return None
    if student.step_audited < verdicts_needed(student.promotion.share, settings) or not _has_step_evidence(
        student, p0, settings.step_evidence
    ):
        return None
    within_patience = reduced_since is not None and now - reduced_since < timedelta(hours=settings.patience_hours)
    if larger_shares[0] == settings.canary[-1] and within_patience and _is_worth_waiting(student):
        return None
    return larger_shares[0]


def verdicts_needed(share: float, settings: BudgetSettings) -> int:
    """Return how many audited verdicts the step at a share needs.

    >>> verdicts_needed(0.05, BudgetSettings()), verdicts_needed(0.25, BudgetSettings())
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


def _is_worth_waiting(student: StudentState) -> bool:
    """Return whether the control group may soon prove a looser threshold that pays for the wait.

    Serving everything ends the control group, and with it the unbiased evidence. Another day of it costs the share that
    is held back; it may gain the gap to the share at which the student agrees well enough so far, for a week.
    `patience_hours` limits all waits together.
    """
    gap = promising_share(student) - _threshold_coverage(student)
    return gap * WEEK_DAYS > (1 - student.promotion.share) * student.proven_share


def promising_share(student: StudentState) -> float:
    """Return the largest share of calls on which the student agrees well enough so far, proven or not."""
    evidence: dict[str, Any] = dict(student.decision.evidence) if student.decision else {}
    p0 = evidence.get("p0", 1.0)
    agreeing = [point for point in evidence.get("curve", []) if (point["agreement"] or 0.0) >= p0]
    return max(_threshold_coverage(student), *(float(point["coverage"]) for point in agreeing), 0.0)


def _threshold_coverage(student: StudentState) -> float:
    """Return the share of calls that reach the threshold, withheld ones included: those do not depend on it."""
    chosen: Any = student.decision.evidence.get("chosen") if student.decision else None
    return float(chosen["coverage"]) if chosen else student.proven_share
