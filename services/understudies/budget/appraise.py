"""Whether a task is worth a student now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from understudies.budget.book import TaskState
from understudies.budget.ramp import verdicts_needed
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_book import StudentState
from understudies.economics import Investment, forecast
from understudies.events import usd_text
from understudies.runtime.rules import TaskRules
from understudies.stats import agreement_ceiling

AppraisalVerdict = Literal["authorise", "wait", "refuse"]
_MIN_SELF_COMPARED = 30


@dataclass(frozen=True, slots=True)
class Appraisal:
    """The answer, why in words, and the investment where there is one."""

    verdict: AppraisalVerdict
    reason: str
    needed_examples: int
    investment: Investment | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is refused for what more calls do not change."""
        return self.verdict == "refuse" and (self.investment is None or not self.investment.expected_share)

    @property
    def investment_numbers(self) -> dict[str, Any]:
        """The investment's numbers, where there is one."""
        return {} if self.investment is None else format_investment(self.investment)


def format_investment(investment: Investment) -> dict[str, Any]:
    """An investment's numbers, JSON-serialisable; money as decimal strings."""
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


def appraise(task: TaskState, rules: TaskRules, settings: BudgetSettings, now: datetime) -> Appraisal:
    """Decide about the next student of a task: the first, or a successor at `growth` times the examples."""
    needed = count_needed_examples(task, settings)
    if rules.critical:
        return Appraisal("refuse", "declared critical: it stays with the teacher", needed)
    if rules.students == ():
        return Appraisal("refuse", "its rules allow no student", needed)
    if task.profile.recommendation == "no":
        return Appraisal("refuse", task.profile.reason, needed, estimate_investment(task, settings, now, share=0.0))
    if task.candidate is not None:
        return Appraisal("wait", f"{task.candidate.name} is on its way: {task.candidate.promotion.stage}", needed)
    inconsistent = _find_inconsistency(task, rules)
    if inconsistent:
        return Appraisal("refuse", inconsistent, needed)
    investment = estimate_investment(task, settings, now)
    if not investment.is_worthwhile:
        return Appraisal("refuse", investment.reason, needed, investment)
    if task.examples < needed:
        return Appraisal("wait", f"{task.examples} of the {needed} examples needed", needed, investment)
    if not is_cooldown_over(task, settings, now):
        return Appraisal(
            "wait",
            f"{task.latest_student.name if task.latest_student else ''} was authorised lately",
            needed,
            investment,
        )
    return Appraisal("authorise", investment.reason, needed, investment)


def count_needed_examples(task: TaskState, settings: BudgetSettings) -> int:
    """Distinct inputs that the next student takes; more where the last one was rejected."""
    before = [student.examples for student in task.students.values() if not _is_outdated(task, student.promotion.at)]
    classes = task.profile.repeated_answers if task.profile.kind == "closed_set" else 0
    first = max(settings.min_examples, settings.examples_per_class * classes)
    rejected = task.latest_student is not None and task.latest_student.promotion.stage == "rejected"
    growth = settings.growth_after_rejection if rejected else settings.growth
    return max(first, round(max(before, default=0) * growth))


def is_cooldown_over(task: TaskState, settings: BudgetSettings, now: datetime) -> bool:
    """Whether the last student was authorised long enough ago: each new one is a new chance of a wrong promotion."""
    latest = task.latest_student
    authorised = latest.authorised_at if latest else None
    return authorised is None or now - authorised >= timedelta(hours=settings.rest_hours)


def _is_outdated(task: TaskState, at: datetime) -> bool:
    return task.valid_since is not None and at <= task.valid_since


def _find_inconsistency(task: TaskState, rules: TaskRules) -> str | None:
    if task.self_compared < _MIN_SELF_COMPARED:
        return None
    best = agreement_ceiling(task.self_agreed, task.self_compared)
    if best >= rules.min_agreement:
        return None
    return (
        f"the teacher agrees with itself on {task.self_agreed} of {task.self_compared} calls, so no student can "
        f"agree on more than {best:.1%}; {rules.min_agreement:.0%} are asked for"
    )


def estimate_investment(
    task: TaskState,
    settings: BudgetSettings,
    now: datetime,
    *,
    share: float | None = None,
    student: StudentState | None = None,
) -> Investment:
    """The next student as an investment, at the volume forecast from the hours seen so far.

    Or one that is there, at its own price: its training is paid, and so is the evidence that it has.
    """
    volume = forecast(task.volume.hourly_counts(now))
    teacher = task.ledger.teacher_price or Decimal(0)
    student_cost = student_price(student, settings)
    verdicts = max(0, settings.shadow_verdicts - (student.judged if student else 0))
    evidence = student_cost * verdicts
    incumbent = task.serving
    if incumbent is None or incumbent is student or student_cost >= teacher:
        expected = _expected_first_share(task, settings) if share is None else share
    else:
        expected = _expected_gain(task, settings, incumbent.proven_share)
        # The incumbent's price is paid already; what a successor costs is the calls kept back for its trial.
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
    )


def student_price(student: StudentState | None, settings: BudgetSettings) -> Decimal:
    """US dollars of a student's answer: its own where that is known, else what the settings say of any."""
    own = student.cost_per_answer if student else None
    return settings.student_cost_usd if own is None else own


def _expected_first_share(task: TaskState, settings: BudgetSettings) -> float:
    known = [student.expected_share for student in task.students.values() if student.expected_share is not None]
    return max(settings.expected_share, *known) if known else settings.expected_share


def _expected_gain(task: TaskState, settings: BudgetSettings, proven: float) -> float:
    """What a successor is expected to add to the share that is proven.

    At least the usual gain of more examples; more where validation says that such a student could serve more than
    the one in force has been able to prove, of which gates prove about half: on banking77 students that were expected
    to serve .56, .69, .73 and .77 proved .33, .51, .57 and .58.
    """
    known = [student.expected_share for student in task.students.values() if student.expected_share is not None]
    return min(1 - proven, max(settings.expected_gain, ((known[-1] if known else 0.0) - proven) / 2))


def audit_rate(served_per_day: float, settings: BudgetSettings, share: float = 1.0) -> float:
    """Share of served calls to audit, so that verdicts come at the wanted pace and never stop.

    At full share the rate has a ceiling, since auditing everything would save nothing; on the way there it has none,
    and aims at what a step of the ramp takes within its least time.

    >>> audit_rate(400, BudgetSettings()), audit_rate(10, BudgetSettings()), audit_rate(10, BudgetSettings(), 0.05)
    (0.05, 0.25, 1.0)
    >>> audit_rate(400, BudgetSettings(), 0.25)
    0.175
    """
    pace = settings.audits_per_day
    if share < 1 and settings.step_hours > 0:
        pace = max(pace, verdicts_needed(share, settings) * 24 / settings.step_hours)
    wanted = pace / served_per_day if served_per_day > 0 else 1.0
    most = settings.max_audit_rate if share >= 1 else 1.0
    return round(min(most, max(settings.min_audit_rate, wanted)), 4)
