"""The budget service: is it worth it?"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.budget.appraise import Appraisal, appraise
from understudies.budget.book import TaskBook
from understudies.budget.decide import Decider
from understudies.budget.settings import BudgetSettings
from understudies.economics import BudgetOutcome, forecast, optimize_for_budget
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, Event, NewId
from understudies.runtime import Bus, Record
from understudies.runtime.outbox import Outbox
from understudies.runtime.rules import TaskRulesOf
from understudies.runtime.seen import Seen


class BudgetApp:
    """Consumes everything; publishes the decisions about students, at ticks."""

    name = "budget"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 2000

    def __init__(self, settings: BudgetSettings, *, bus: Bus, rules: TaskRulesOf, new_id: NewId) -> None:
        self._settings = settings
        self._bus = bus
        self._seen = Seen()
        self._outbox = Outbox(bus)
        self._rules = rules
        self._decider = Decider(settings, new_id)
        self.books: dict[str, TaskBook] = {}

    async def start(self) -> None:
        """Nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold new events into the books of their tasks; a batch that cannot be read is folded not at all."""
        for event in self._seen.fresh(await self._bus.events(records)):
            self.book(event.task).fold(event)
            self._seen.add([event])

    def book(self, task: str) -> TaskBook:
        """The book of a task, opened when it is first seen."""
        if task not in self.books:
            self.books[task] = TaskBook(task, self._settings.student_cost_usd)
        return self.books[task]

    async def tick(self, now: datetime) -> None:
        """Decide what is due; each decision is folded at once, so that the next one knows of it."""
        for task in sorted(self.books):
            book = self.books[task]
            for move in self._decider.moves(book, self._rules.of(task), now):
                book.fold(move)
                self._outbox.add([move])
        await self._outbox.flush()

    async def stop(self) -> None:
        """Nothing to close."""

    def appraisal(self, task: str, now: datetime) -> Appraisal:
        """What would be decided about a task's next student now."""
        return appraise(self.book(task), self._rules.of(task), self._settings, now)

    def optimize_for_budget(self, task: str, budget_target: Decimal | None, now: datetime) -> BudgetOutcome:
        """Where a task stands against a weekly budget; without one, any spending is worth cutting."""
        book = self.book(task)
        appraisal = self.appraisal(task, now)
        student = book.in_force or book.on_trial or book.latest
        weekly = forecast(book.volume.hourly(now)).calls
        rate = book.ledger.spent / book.ledger.calls if book.ledger.calls else Decimal(0)
        outcome = optimize_for_budget(
            task,
            weekly_cost=rate * weekly,
            budget_target=budget_target or Decimal(0),
            examples=book.examples,
            needed=appraisal.needed,
            investment=appraisal.investment,
            stage=student.story.stage if student else None,
            agreement=student.agreement if student else None,
            cost_reduction=float(book.ledger.without / book.ledger.spent) if book.ledger.spent else None,
        )
        if appraisal.final and outcome.outcome in ("collecting", "not_worth_it"):
            return replace(outcome, outcome="not_worth_it", message=f"not worth it: {appraisal.reason}")
        return outcome

    def said(self) -> list[Event]:
        """The decisions published last."""
        return self._outbox.said()

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        books = [book.state() for book in self.books.values()]
        return {"books": books, "seen": self._seen.state(), "outbox": self._outbox.state()}

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        for saved in state["books"]:
            book = TaskBook.from_state(saved, self._settings.student_cost_usd)
            self.books[book.task] = book
        self._seen = Seen(ids=state["seen"])
        self._outbox.restore(state["outbox"])


def create_app(settings: BudgetSettings, *, bus: Bus, rules: TaskRulesOf, new_id: NewId) -> BudgetApp:
    """The budget service, composed."""
    return BudgetApp(settings, bus=bus, rules=rules, new_id=new_id)
