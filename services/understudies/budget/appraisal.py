"""Decide whether a task is worth a student now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from understudies.budget.investment import estimate_investment, format_investment
from understudies.budget.settings import BudgetSettings
from understudies.budget.task_state import TaskState
from understudies.economics.roi import Investment
from understudies.events import Promotion
from understudies.runtime.rules.task import TaskRules
from understudies.stats.consistency import agreement_ceiling

AppraisalVerdict = Literal["authorise", "wait", "refuse"]
_MIN_SELF_COMPARED = 30


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A decision about a task's next student: verdict, reason, and the investment if it was estimated."""

    verdict: AppraisalVerdict
    reason: str
    needed_examples: int
    investment: Investment | None = None

    @property
    def is_final(self) -> bool:
        """Return whether the refusal is for a reason that more calls do not change."""
        return self.verdict == "refuse" and (self.investment is None or not self.investment.expected_share)

    @property
    def investment_numbers(self) -> dict[str, Any]:
        """The numbers of the investment; empty if it was not estimated."""
        return {} if self.investment is None else format_investment(self.investment)


def appraise(task: TaskState, rules: TaskRules, settings: BudgetSettings, now: datetime) -> Appraisal:
    """Decide about the next student of a task: the first, or a successor at `growth` times the examples.

    Where a person asked for a new student, it neither waits for more examples than a first one needs, nor for the
    student in progress, nor for the time between two students; whatever is refused otherwise is refused still.
    """
    asked = task.pending_retraining(now)
    needed = count_needed_examples(task, settings, as_first=asked is not None)
    if rules.critical or task.steering.critical:
        return Appraisal("refuse", "declared critical: it stays with the teacher", needed)
    if rules.students == ():
        return Appraisal("refuse", "the rules allow no student", needed)
    if task.profile.recommendation == "no":
        return Appraisal("refuse", task.profile.reason, needed, estimate_investment(task, settings, now, share=0.0))
    if task.serving is not None and task.serving.name == task.steering.pinned:
        return Appraisal("wait", f"{task.serving.name} is pinned: it is not to be succeeded", needed)
    if task.candidate is not None and asked is None:
        return Appraisal("wait", f"{task.candidate.name} is in progress: {task.candidate.promotion.stage}", needed)
    inconsistent = _find_inconsistency(task, rules)
    if inconsistent:
        return Appraisal("refuse", inconsistent, needed)
    investment = estimate_investment(task, settings, now)
    if not investment.is_worthwhile:
        return Appraisal("refuse", investment.reason, needed, investment)
    if task.examples < needed:
        return Appraisal("wait", f"{task.examples} of the {needed} examples needed", needed, investment)
    if asked is None and not is_cooldown_over(task, settings, now):
        return Appraisal(
            "wait",
            f"{task.latest_student.name if task.latest_student else ''} was authorised recently",
            needed,
            investment,
        )
    reason = investment.reason if asked is None else f"asked for by {describe_decision(asked)}; {investment.reason}"
    return Appraisal("authorise", reason, needed, investment)


def describe_decision(event: Promotion) -> str:
    """Return who made a decision, and why."""
    by = event.steering.by if event.steering else ""
    return f"{by}: {event.reason}" if event.reason else by


def count_needed_examples(task: TaskState, settings: BudgetSettings, *, as_first: bool = False) -> int:
    """Return how many distinct inputs the next student needs; more if the last one was rejected.

    `as_first`: as if there had been none before.
    """
    earlier = [student.examples for student in task.students.values() if not _is_outdated(task, student.promotion.at)]
    classes = task.profile.repeated_answers if task.profile.kind == "closed_set" else 0
    minimum = max(settings.min_examples, settings.examples_per_class * classes)
    if as_first:
        return minimum
    rejected = task.latest_student is not None and task.latest_student.promotion.stage == "rejected"
    growth = settings.growth_after_rejection if rejected else settings.growth
    return max(minimum, round(max(earlier, default=0) * growth))


def is_cooldown_over(task: TaskState, settings: BudgetSettings, now: datetime) -> bool:
    """Return whether the last student was authorised long enough ago.

    Each new student is another chance of a wrong promotion.
    """
    latest = task.latest_student
    authorised = latest.authorised_at if latest else None
    return authorised is None or now - authorised >= timedelta(hours=settings.rest_hours)


def _is_outdated(task: TaskState, at: datetime) -> bool:
    return task.valid_since is not None and at <= task.valid_since


def _find_inconsistency(task: TaskState, rules: TaskRules) -> str | None:
    if task.self_compared < _MIN_SELF_COMPARED:
        return None
    ceiling = agreement_ceiling(task.self_agreed, task.self_compared)
    if ceiling >= rules.min_agreement:
        return None
    return (
        f"the teacher agrees with itself on {task.self_agreed} of {task.self_compared} calls, so no student can "
        f"agree on more than {ceiling:.1%}; {rules.min_agreement:.0%} is required"
    )
