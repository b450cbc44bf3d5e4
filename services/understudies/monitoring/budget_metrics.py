"""Report the tasks and students that a budget service knows."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, get_args

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.monitoring import names
from understudies.monitoring.families import Families
from understudies.stats.bounds import anytime_lower_bound
from understudies.status.reader import TaskStates
from understudies.status.standing import Phase

MAX_TASKS: Final = 200
"""Tasks to report; those with the most calls, as a metric of each one costs the store of the metrics memory."""

FindPhase = Callable[[str, datetime], Phase]


class BudgetCollector(Collector):
    """The figures of every task, from the state of the budget, on each collection; no query is made."""

    def __init__(self, budget: TaskStates, find_phase: FindPhase, now: Callable[[], datetime]) -> None:
        self._budget = budget
        self._find_phase = find_phase
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        found, now = Families(names.BUDGET_METRICS), self._now()
        most = sorted(self._budget.tasks.values(), key=lambda state: (-state.ledger.calls, state.task))[:MAX_TASKS]
        for state in most:
            self._add_task(found, state, now)
            for student in (state.serving, state.candidate):
                if student is not None:
                    _add_student(found, state.task, student)
        yield from found

    def _add_task(self, found: Families, state: TaskState, now: datetime) -> None:
        task, ledger, serving = state.task, state.ledger, state.serving
        phase = self._find_phase(task, now)
        for one in get_args(Phase):
            found.add(names.PHASE, float(one == phase), task, one)
        found.add(names.EXAMPLES, state.examples, task)
        found.add(names.EXAMPLES_NEEDED, self._budget.appraisal(task, now).needed_examples, task)
        found.add(names.CALLS, ledger.calls, task)
        found.add(names.SERVED, ledger.served, task)
        found.add(names.ESCALATED, ledger.escalated, task)
        found.add(names.TEACHER_CALLS, ledger.teacher_calls, task)
        found.add(names.AUDITED, ledger.audits, task)
        parts = {
            "teacher": ledger.teacher,
            "students": ledger.students,
            "training": ledger.training,
            "trials": ledger.compared,
            "audits": ledger.audit,
        }
        for part, amount in parts.items():
            found.add(names.COST, float(amount), task, part)
        found.add(names.SAVED, float(ledger.savings), task)
        price = ledger.teacher_price
        found.add(names.PRICE, None if price is None else float(price), task)
        found.add(names.SHARE, serving.promotion.share if serving else 0.0, task)
        found.add(names.COVERAGE, serving.proven_share if serving else 0.0, task)


def _add_student(found: Families, task: str, student: StudentState) -> None:
    name = student.name
    found.add(names.AUDITS, student.audited, task, name)
    found.add(names.AUDITS_AGREED, student.agreed, task, name)
    if student.audited:
        found.add(names.AUDIT_AGREEMENT, student.agreed / student.audited, task, name)
        found.add(names.AUDIT_BOUND, anytime_lower_bound(student.agreed, student.audited), task, name)
    found.add(names.SHADOW_VERDICTS, student.judged, task, name)
