"""Whether a task is worth a student now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from understudies.budget.book import TaskBook
from understudies.budget.ramp import verdicts_needed
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_book import StudentBook
from understudies.economics import Investment, forecast
from understudies.events import usd_text
from understudies.runtime.rules import TaskRules
from understudies.stats import ceiling

Verdict = Literal["authorise", "wait", "refuse"]
_LEAST_ASKED = 30


@dataclass(frozen=True, slots=True)
class Appraisal:
    """The answer, why in words, and the investment where there is one."""

    verdict: Verdict
    reason: str
    needed: int
    investment: Investment | None = None

    @property
    def final(self) -> bool:
        """Whether it is refused for what more calls do not change."""
        return self.verdict == "refuse" and (self.investment is None or not self.investment.expected_share)

    @property
    def numbers(self) -> dict[str, Any]:
        """The investment's numbers, where there is one."""
        return {} if self.investment is None else numbers_of(self.investment)


def numbers_of(i: Investment) -> dict[str, Any]:
    """An investment's numbers, JSON-serialisable; money as decimal strings."""
    return {
        "roi": None if i.roi is None else round(float(i.roi), 4),
        "break_even_calls": i.break_even_calls,
        "weekly_calls": i.weekly_calls,
        "weekly_calls_lower": i.weekly_calls_lower,
        "expected_share": round(i.expected_share, 4),
        "audit_rate": round(i.audit_rate, 4),
        "teacher_cost_usd": usd_text(i.teacher_cost),
        "student_cost_usd": usd_text(i.student_cost),
        "training_cost_usd": usd_text(i.training_cost),
        "evidence_cost_usd": usd_text(i.evidence_cost),
        "net_weekly_saving_usd": usd_text(i.net_weekly_saving),
    }


def appraise(book: TaskBook, rules: TaskRules, settings: BudgetSettings, now: datetime) -> Appraisal:
    """Decide about the next student of a task: the first, or a successor at `growth` times the examples."""
    needed = examples_needed(book, settings)
    if rules.critical:
        return Appraisal("refuse", "declared critical: it stays with the teacher", needed)
    if rules.students == ():
        return Appraisal("refuse", "its rules allow no student", needed)
    if book.profile.verdict == "no":
        return Appraisal("refuse", book.profile.reason, needed, invest(book, settings, now, share=0.0))
    if book.on_trial is not None:
        return Appraisal("wait", f"{book.on_trial.name} is on its way: {book.on_trial.story.stage}", needed)
    inconsistent = _inconsistent(book, rules)
    if inconsistent:
        return Appraisal("refuse", inconsistent, needed)
    investment = invest(book, settings, now)
    if not investment.worth_it:
        return Appraisal("refuse", investment.reason, needed, investment)
    if book.examples < needed:
        return Appraisal("wait", f"{book.examples} of the {needed} examples needed", needed, investment)
    if not is_rested(book, settings, now):
        return Appraisal("wait", f"{book.latest.name if book.latest else ''} was authorised lately", needed, investment)
    return Appraisal("authorise", investment.reason, needed, investment)


def examples_needed(book: TaskBook, settings: BudgetSettings) -> int:
    """Distinct inputs that the next student takes; more where the last one was rejected."""
    before = [student.examples for student in book.students.values() if not _stale(book, student.story.at)]
    classes = book.profile.repeated_answers if book.profile.kind == "closed_set" else 0
    first = max(settings.min_examples, settings.examples_per_class * classes)
    rejected = book.latest is not None and book.latest.story.stage == "rejected"
    growth = settings.growth_after_rejection if rejected else settings.growth
    return max(first, round(max(before, default=0) * growth))


def is_rested(book: TaskBook, settings: BudgetSettings, now: datetime) -> bool:
    """Whether the last student was authorised long enough ago: each new one is a new chance of a wrong promotion."""
    latest = book.latest
    authorised = latest.authorised_at if latest else None
    return authorised is None or now - authorised >= timedelta(hours=settings.rest_hours)


def _stale(book: TaskBook, at: datetime) -> bool:
    return book.fresh_since is not None and at <= book.fresh_since


def _inconsistent(book: TaskBook, rules: TaskRules) -> str | None:
    if book.self_asked < _LEAST_ASKED:
        return None
    best = ceiling(book.self_agreed, book.self_asked)
    if best >= rules.min_agreement:
        return None
    return (
        f"the teacher agrees with itself on {book.self_agreed} of {book.self_asked} calls, so no student can "
        f"agree on more than {best:.1%}; {rules.min_agreement:.0%} are asked for"
    )


def invest(
    book: TaskBook,
    settings: BudgetSettings,
    now: datetime,
    *,
    share: float | None = None,
    student: StudentBook | None = None,
) -> Investment:
    """The next student as an investment, at the volume forecast from the hours seen so far.

    Or one that is there, at its own price: its training is paid, and so is the evidence that it has.
    """
    volume = forecast(book.volume.hourly(now))
    teacher = book.ledger.teacher_price or Decimal(0)
    student_cost = price_of(student, settings)
    verdicts = max(0, settings.shadow_verdicts - (student.judged if student else 0))
    evidence = student_cost * verdicts
    incumbent = book.in_force
    if incumbent is None or incumbent is student or student_cost >= teacher:
        expected = _first_share(book, settings) if share is None else share
    else:
        expected = _gain(book, settings, incumbent.proven_share)
        # The incumbent's price is paid already; what a successor costs is the calls kept back for its trial.
        student_cost = max(Decimal(0), student_cost - price_of(incumbent, settings))
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


def price_of(student: StudentBook | None, settings: BudgetSettings) -> Decimal:
    """US dollars of a student's answer: its own where that is known, else what the settings say of any."""
    own = student.cost if student else None
    return settings.student_cost_usd if own is None else own


def _first_share(book: TaskBook, settings: BudgetSettings) -> float:
    known = [student.expected_share for student in book.students.values() if student.expected_share is not None]
    return max(settings.expected_share, *known) if known else settings.expected_share


def _gain(book: TaskBook, settings: BudgetSettings, proven: float) -> float:
    """What a successor is expected to add to the share that is proven.

    At least the usual gain of more examples; more where validation says that such a student could serve more than
    the one in force has been able to prove, of which gates prove about half: on banking77 students that were expected
    to serve .56, .69, .73 and .77 proved .33, .51, .57 and .58.
    """
    known = [student.expected_share for student in book.students.values() if student.expected_share is not None]
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
