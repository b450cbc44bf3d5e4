"""Plan more audits than usual of a serving student, where what they prove is worth their cost."""

from datetime import datetime, timedelta
from typing import Final

from understudies.budget.ramp import WEEK_DAYS, is_evidence_worthwhile
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import MoreAudits, StudentState
from understudies.budget.task_state import TaskState
from understudies.economics.forecast import forecast

_DAY: Final = timedelta(days=1)


def plan_more_audits(
    task: TaskState, student: StudentState, settings: BudgetSettings, now: datetime
) -> MoreAudits | None:
    """Return for what more audits than usual of a serving student are worth their cost; None if for nothing.

    They are unbiased evidence on its successor, and on its own looser thresholds. They last whole days, so that
    each hour of the day has its usual weight in the evidence.
    """
    current = student.more_audits
    if current is not None and now < current.until:
        return current
    purpose = _find_purpose(task, student, settings, now)
    return MoreAudits(purpose, (current.until if current else now) + _DAY) if purpose else None


def _find_purpose(task: TaskState, student: StudentState, settings: BudgetSettings, now: datetime) -> str:
    candidate = task.candidate
    if candidate is not None and candidate is not student and candidate.promotion.stage in ("trained", "qualified"):
        return f"{candidate.name} is on trial"
    daily = forecast(task.hourly_counts(now)).calls / WEEK_DAYS
    is_worthwhile = student.is_serving and is_evidence_worthwhile(student, settings, daily)
    return "looser thresholds may be proven" if is_worthwhile else ""
