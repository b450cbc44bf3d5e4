"""Estimate the return on a student and the rate of its audits."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.budget.ramp import threshold_coverage, verdicts_needed
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.economics.forecast import forecast
from understudies.economics.roi import Investment
from understudies.events import usd, usd_text


def format_investment(investment: Investment) -> dict[str, Any]:
    """Return the numbers of an investment, JSON-serialisable; money as decimal strings."""
    return {
        "roi": None if investment.roi is None else round(float(investment.roi), 4),
        "break_even_calls": investment.break_even_calls,
        "weekly_calls": investment.weekly_calls,
        "weekly_calls_lower": investment.weekly_calls_lower,
        "expected_share": round(investment.expected_share, 4),
        "audit_rate": round(investment.audit_rate, 4),
        "teacher_cost_usd": usd_text(investment.teacher_cost),
        "student_cost_usd": usd_text(investment.student_cost),
        "training_cost_usd": usd_text(investment.training_cost),
        "evidence_cost_usd": usd_text(investment.evidence_cost),
        "net_weekly_saving_usd": usd_text(investment.net_weekly_saving),
    }


def read_investment(numbers: Mapping[str, Any]) -> Investment | None:
    """Return a first student's investment from its numbers, as an authorisation keeps them; None without them."""
    if "evidence_cost_usd" not in numbers:
        return None
    return Investment(
        teacher_cost=usd(str(numbers["teacher_cost_usd"])),
        student_cost=usd(str(numbers["student_cost_usd"])),
        weekly_calls=numbers["weekly_calls"],
        weekly_calls_lower=numbers["weekly_calls_lower"],
        expected_share=numbers["expected_share"],
        audit_rate=numbers["audit_rate"],
        training_cost=usd(str(numbers["training_cost_usd"])),
        evidence_cost=usd(str(numbers["evidence_cost_usd"])),
        horizon_weeks=1.0,
    )


def estimate_investment(
    task: TaskState,
    settings: BudgetSettings,
    now: datetime,
    *,
    share: float | None = None,
    student: StudentState | None = None,
) -> Investment:
    """Estimate the return on a student, at the volume forecast from the hours seen so far.

    Without `student`, estimate that of the next one. With it, use the student's own price: its training is already paid
    for, and so is the evidence collected for it.
    """
    volume = forecast(task.hourly_counts(now))
    teacher = task.ledger.teacher_price or Decimal(0)
    student_cost = student_price(student, settings)
    verdicts = max(0, settings.shadow_verdicts - (student.judged if student else 0))
    evidence = student_cost * verdicts
    incumbent = task.serving
    if incumbent is None or incumbent is student or student_cost >= teacher:
        expected = _expected_first_share(task, settings) if share is None else share
        horizon_weeks = 1.0
    else:
        # It serves until there are twice its examples, of which there are fewer and fewer a week.
        horizon_weeks = settings.successor_weeks
        expected = _expected_gain(task, settings, incumbent)
        # The incumbent's price is already paid; a successor costs the audits of the incumbent that its trial takes.
        student_cost = max(Decimal(0), student_cost - student_price(incumbent, settings))
        fresh = min(settings.fresh_verdicts, verdicts)
        evidence += Decimal(round(fresh * incumbent.proven_share)) * teacher
    return Investment(
        teacher_cost=teacher,
        student_cost=student_cost,
        weekly_calls=volume.calls,
        weekly_calls_lower=volume.lower,
        expected_share=expected,
        audit_rate=audit_rate(volume.calls / 7 * max(expected, 0.01), settings),
        training_cost=Decimal(0) if student else settings.training_cost_usd,
        evidence_cost=evidence,
        horizon_weeks=horizon_weeks,
    )


def student_price(student: StudentState | None, settings: BudgetSettings) -> Decimal:
    """Return the price of one answer in US dollars: the student's own if known, else the default setting."""
    own = student.cost_per_answer if student else None
    return settings.student_cost_usd if own is None else own


def _expected_first_share(task: TaskState, settings: BudgetSettings) -> float:
    expected_shares = [
        student.expected_share for student in task.students.values() if student.expected_share is not None
    ]
    return max(settings.expected_share, *expected_shares) if expected_shares else settings.expected_share


def _expected_gain(task: TaskState, settings: BudgetSettings, incumbent: StudentState) -> float:
    """Estimate the share that a successor adds to the share already proven.

    None where every call reaches the threshold of the serving student already: what is withheld besides is no matter of
    its confidence. Else at least the usual gain of more examples; more if validation shows that such a student could
    serve more than the serving one has been able to prove. Gates prove about half of that: on banking77, students that
    were expected to serve .56, .69, .73 and .77 proved .33, .51, .57 and .58.
    """
    proven_share = incumbent.proven_share
    expected_shares = [
        student.expected_share for student in task.students.values() if student.expected_share is not None
    ]
    return min(
        1 - max(proven_share, threshold_coverage(incumbent)),
        max(settings.expected_gain, ((expected_shares[-1] if expected_shares else 0.0) - proven_share) / 2),
    )


def audit_rate(served_per_day: float, settings: BudgetSettings, share: float = 1.0) -> float:
    """Return the share of served calls to audit, so that verdicts arrive at the configured rate and never stop.

    At full share the rate has a ceiling, since auditing everything would save nothing. Below full share it has none: it
    aims at the verdicts that a step of the ramp needs within its minimum duration.

    >>> audit_rate(400, BudgetSettings()), audit_rate(10, BudgetSettings()), audit_rate(10, BudgetSettings(), 0.05)
    (0.05, 0.25, 1.0)
    >>> audit_rate(4000, BudgetSettings(), 0.4)
    0.21
    """
    pace = settings.audits_per_day
    if share < 1 and settings.step_hours > 0:
        pace = max(pace, verdicts_needed(share, settings) * 24 / settings.step_hours)
    target = pace / served_per_day if served_per_day > 0 else 1.0
    ceiling = settings.max_audit_rate if share >= 1 else 1.0
    return round(min(ceiling, max(settings.min_audit_rate, target)), 4)
