"""The budget service: decide which students are worth their cost, and how much they serve."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from understudies.budget.appraisal import Appraisal, appraise
from understudies.budget.lifecycle import StudentLifecycle
from understudies.budget.settings import BudgetSettings
from understudies.budget.task_state import TaskState
from understudies.economics.forecast import forecast
from understudies.economics.outcome import BudgetOutcome, optimize_for_budget
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, Event, NewId, Promotion
from understudies.persistence.fields import AsArray
from understudies.persistence.saved_state import IN_PLACE, Key, SavedState
from understudies.runtime import span_names
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.deduplication import SeenIds
from understudies.runtime.bus.messages import TRACEPARENT, Record
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.telemetry import continued_span


class BudgetApp(SavedState):
    """Consume all topics; publish the decisions about students at each tick."""

    name = "budget"
    topics = (INVOCATIONS, VERDICTS, PROMOTIONS, DRIFT)
    max_records = 2000

    tasks: Annotated[dict[str, TaskState], Key("books"), AsArray(("task",))]
    _seen_ids: Annotated[SeenIds, Key("seen"), IN_PLACE]
    _outbox: Annotated[Outbox, IN_PLACE]

    def __init__(self, settings: BudgetSettings, *, bus: Bus, rules: TaskRulesLookup, new_id: NewId) -> None:
        self._settings = settings
        self._bus = bus
        self._seen_ids = SeenIds()
        self._outbox = Outbox(bus)
        self._rules = rules
        self._lifecycle = StudentLifecycle(settings, new_id)
        self._last_traces: dict[str, str] = {}
        self.tasks = {}

    async def start(self) -> None:
        """Do nothing: there is nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold new events into the state of their tasks; fold none of a batch that cannot be decoded."""
        self._last_traces |= _traces_of(records)
        for event in self._seen_ids.filter_new(await self._bus.decode_events(records)):
            self.task_state(event.task).fold(event)
            self._seen_ids.add([event])

    def task_state(self, task: str) -> TaskState:
        """Return the state of a task; create it for a task that is new."""
        if task not in self.tasks:
            self.tasks[task] = TaskState(task, self._settings.student_cost_usd)
        return self.tasks[task]

    async def tick(self, now: datetime) -> None:
        """Publish the decisions that are due; fold each at once, so that the next one takes it into account."""
        for task in sorted(self.tasks):
            state = self.tasks[task]
            for move in self._lifecycle.transitions(state, self._rules.for_task(task), now):
                state.fold(move)
                self._outbox.add([move])
                await self._publish_traced(move)
        await self._outbox.flush()

    async def _publish_traced(self, move: Promotion) -> None:
        """Publish a decision in the trace of the last call of its task; without traces, with the others at the end."""
        traceparent = self._last_traces.get(move.task)
        if traceparent is not None:
            attributes = {span_names.TASK: move.task, span_names.STUDENT: move.student, span_names.STAGE: move.stage}
            with continued_span(self._bus.tracer, f"{span_names.DECIDE} {move.stage}", traceparent, attributes):
                await self._outbox.flush()

    async def stop(self) -> None:
        """Do nothing: there is nothing to close."""

    def appraisal(self, task: str, now: datetime) -> Appraisal:
        """Return the decision that would be made now about a task's next student."""
        return appraise(self.task_state(task), self._rules.for_task(task), self._settings, now)

    def optimize_for_budget(self, task: str, budget_target: Decimal | None, now: datetime) -> BudgetOutcome:
        """Compare a task with a weekly budget; without a budget, treat any spending as worth cutting."""
        state = self.task_state(task)
        appraisal = self.appraisal(task, now)
        student = state.serving or state.candidate or state.latest_student
        weekly = forecast(state.hourly_counts(now)).calls
        rate = state.ledger.total_cost / state.ledger.calls if state.ledger.calls else Decimal(0)
        outcome = optimize_for_budget(
            task,
            weekly_cost=rate * weekly,
            budget_target=budget_target or Decimal(0),
            examples=state.examples,
            needed=appraisal.needed_examples,
            investment=appraisal.investment,
            stage=student.promotion.stage if student else None,
            agreement=student.agreement if student else None,
            cost_reduction=float(state.ledger.cost_without_students / state.ledger.total_cost)
            if state.ledger.total_cost
            else None,
        )
        if appraisal.is_final and outcome.outcome in ("collecting", "not_worth_it"):
            return replace(outcome, outcome="not_worth_it", message=f"not worth it: {appraisal.reason}")
        return outcome

    def recently_published(self) -> list[Event]:
        """Return the latest published decisions."""
        return self._outbox.recently_published()

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the state, and what waits to be published, of all tasks of which `owns` is not true."""
        self.tasks = {name: state for name, state in self.tasks.items() if owns(name)}
        self._outbox.keep_tasks(owns)

    async def restore(self, state: dict[str, Any]) -> None:
        """Restore the state from a snapshot."""
        self.restore_state(state)
        for task in self.tasks.values():
            task.student_cost = self._settings.student_cost_usd


def _traces_of(records: Sequence[Record]) -> dict[str, str]:
    """Return the trace context of the last call of each task that has one; calls have their task as key."""
    return {
        (record.key or b"").decode("utf-8", "replace"): value.decode("ascii", "replace")
        for record in records
        if record.topic == INVOCATIONS.name
        for name, value in record.headers
        if name == TRACEPARENT
    }


def create_app(settings: BudgetSettings, *, bus: Bus, rules: TaskRulesLookup, new_id: NewId) -> BudgetApp:
    """Build the budget service."""
    return BudgetApp(settings, bus=bus, rules=rules, new_id=new_id)
