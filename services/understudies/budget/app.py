"""The budget service: is it worth it?"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.budget.appraisal import Appraisal, appraise
from understudies.budget.lifecycle import StudentLifecycle
from understudies.budget.settings import BudgetSettings
from understudies.budget.task_state import TaskState
from understudies.economics.forecast import forecast
from understudies.economics.outcome import BudgetOutcome, optimize_for_budget
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, Event, NewId
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.deduplication import SeenIds
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.rules.rules import TaskRulesLookup


class BudgetApp:
    """Consumes everything; publishes the decisions about students, at ticks."""

    name = "budget"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 2000

    def __init__(self, settings: BudgetSettings, *, bus: Bus, rules: TaskRulesLookup, new_id: NewId) -> None:
        self._settings = settings
        self._bus = bus
        self._seen_ids = SeenIds()
        self._outbox = Outbox(bus)
        self._rules = rules
        self._lifecycle = StudentLifecycle(settings, new_id)
        self.tasks: dict[str, TaskState] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold new events into the state of their tasks; a batch that cannot be read is folded not at all."""
        for event in self._seen_ids.filter_new(await self._bus.decode_events(records)):
            self.task_state(event.task).fold(event)
            self._seen_ids.add([event])

    def task_state(self, task: str) -> TaskState:
        """The state of a task, opened when it is first seen."""
        if task not in self.tasks:
            self.tasks[task] = TaskState(task, self._settings.student_cost_usd)
        return self.tasks[task]

    async def tick(self, now: datetime) -> None:
        """Decide what is due; each decision is folded at once, so that the next one knows of it."""
        for task in sorted(self.tasks):
            book = self.tasks[task]
            for move in self._lifecycle.transitions(book, self._rules.for_task(task), now):
                book.fold(move)
                self._outbox.add([move])
        await self._outbox.flush()

    async def stop(self) -> None:
        """Nothing to close."""

    def appraisal(self, task: str, now: datetime) -> Appraisal:
        """What would be decided about a task's next student now."""
        return appraise(self.task_state(task), self._rules.for_task(task), self._settings, now)

    def optimize_for_budget(self, task: str, budget_target: Decimal | None, now: datetime) -> BudgetOutcome:
        """Where a task stands against a weekly budget; without one, any spending is worth cutting."""
        book = self.task_state(task)
        appraisal = self.appraisal(task, now)
        student = book.serving or book.candidate or book.latest_student
        weekly = forecast(book.volume.hourly_counts(now)).calls
        rate = book.ledger.total_cost / book.ledger.calls if book.ledger.calls else Decimal(0)
        outcome = optimize_for_budget(
            task,
            weekly_cost=rate * weekly,
            budget_target=budget_target or Decimal(0),
            examples=book.examples,
            needed=appraisal.needed_examples,
            investment=appraisal.investment,
            stage=student.promotion.stage if student else None,
            agreement=student.agreement if student else None,
            cost_reduction=float(book.ledger.cost_without_students / book.ledger.total_cost)
            if book.ledger.total_cost
            else None,
        )
        if appraisal.is_final and outcome.outcome in ("collecting", "not_worth_it"):
            return replace(outcome, outcome="not_worth_it", message=f"not worth it: {appraisal.reason}")
        return outcome

    def recently_published(self) -> list[Event]:
        """The decisions published last."""
        return self._outbox.recently_published()

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        books = [book.state() for book in self.tasks.values()]
        return {"books": books, "seen": self._seen_ids.state(), "outbox": self._outbox.state()}

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        for saved in state["books"]:
            book = TaskState.from_state(saved, self._settings.student_cost_usd)
            self.tasks[book.task] = book
        self._seen_ids = SeenIds(ids=state["seen"])
        self._outbox.restore(state["outbox"])


def create_app(settings: BudgetSettings, *, bus: Bus, rules: TaskRulesLookup, new_id: NewId) -> BudgetApp:
    """The budget service, composed."""
    return BudgetApp(settings, bus=bus, rules=rules, new_id=new_id)
