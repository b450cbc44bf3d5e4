"""Read the standing of every task from the store and from the state of budget and evaluator."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from understudies.budget.appraisal import Appraisal
from understudies.budget.ledger import Ledger
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.gate_decisions import decision_evidence
from understudies.evaluator.trial import Trial
from understudies.judges.backends import BACKENDS
from understudies.observer.totals import refresh_totals
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.store import Store
from understudies.stats.bounds import anytime_lower_bound
from understudies.status.decision_check import awaits_approval, decisions_in_force
from understudies.status.judge_failures import find_judge_failure
from understudies.status.price_sources import PriceSources
from understudies.status.queries import (
    fetch_calls_since,
    fetch_last_decisions,
    fetch_story,
    start_of_day,
)
from understudies.status.standing import (
    CallCounts,
    LastDecision,
    MeasuredAgreement,
    Overview,
    Phase,
    TaskStanding,
    TaskStory,
    TeacherPrice,
)
from understudies.status.trial_progress import measure_gate_agreement, measure_progress
from understudies.status.waiting import describe_wait, find_phase, is_volume_known

_UNKNOWN_PRICE_SOURCE = "unknown"


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """What the store knows of all tasks."""

    today: Mapping[str, CallCounts] = field(default_factory=dict)
    price_sources: Mapping[str, str] = field(default_factory=dict)
    last_decisions: Mapping[str, LastDecision] = field(default_factory=dict)

    @classmethod
    async def fetch(cls, store: Store, prices: PriceSources, tasks: Collection[str], now: datetime) -> "StoredFacts":
        """Query the store, after its totals were refreshed."""
        await refresh_totals(store)
        only = next(iter(tasks)) if len(tasks) == 1 else None
        return cls(
            await fetch_calls_since(store, start_of_day(now), only),
            await prices.look(store, tasks, now),
            await fetch_last_decisions(store, only),
        )


class TaskStates(Protocol):
    """The part of a budget service that the status needs."""

    @property
    def tasks(self) -> Mapping[str, TaskState]:
        """The states of the tasks by name."""
        ...

    def appraisal(self, task: str, now: datetime) -> Appraisal:
        """Return the decision that would be made now about a task's next student."""
        ...


class TrialSource(Protocol):
    """The part of an evaluation that the status needs."""

    @property
    def trials(self) -> Mapping[str, Trial]:
        """The trials by student."""
        ...


@dataclass(frozen=True, slots=True)
class StatusReader:
    """Reader of the standings; `not_loaded` returns why students in force could not be loaded, by name.

    Without a store, what that knows is left out.
    """

    store: Store | None
    budget: TaskStates
    evaluation: TrialSource
    rules: TaskRulesLookup
    settings: BudgetSettings
    not_loaded: Callable[[], Mapping[str, str]]
    source: str
    critical_tasks: Collection[str] = ()
    training: Callable[[], Mapping[str, str]] = dict
    """Returns how far trainings have come, by student."""
    files: ObjectStore | None = None
    price_sources: PriceSources = field(default_factory=PriceSources)

    def gate_evidence(self, student: str) -> Mapping[str, Any]:
        """Return what the gates of a student know now; empty if it is neither on trial nor in force."""
        trial = self.evaluation.trials.get(student)
        return decision_evidence(trial) if trial else {}

    def ledger(self, task: str) -> Ledger | None:
        """Return the ledger of a task; None if there is no such task."""
        state = self.budget.tasks.get(task)
        return state.ledger if state else None

    async def overview(self, now: datetime) -> Overview:
        """Return the standing of all tasks, by name."""
        return await self._overview(now, sorted(self.budget.tasks))

    async def _overview(self, now: datetime, tasks: Sequence[str]) -> Overview:
        stored = StoredFacts()
        if self.store is not None:
            stored = await StoredFacts.fetch(self.store, self.price_sources, tasks, now)
        failures = self.not_loaded()
        standings = []
        for task in tasks:
            standings.append(self._standing(self.budget.tasks[task], stored, failures, now))
            # Calls in flight go on between two tasks.
            await asyncio.sleep(0)
        return Overview(at=now, source=self.source, tasks=tuple(standings))

    async def story(self, task: str, now: datetime) -> TaskStory | None:
        """Return the standing of a task and its story; None if there is no such task."""
        if task not in self.budget.tasks:
            return None
        (standing,) = (await self._overview(now, [task])).tasks
        events = () if self.store is None else tuple(await fetch_story(self.store, task))
        return TaskStory(standing=standing, events=events)

    def phase(self, task: str, now: datetime) -> Phase:
        """Return the phase of a task; needs no query."""
        appraisal = self.budget.appraisal(task, now)
        return find_phase(self.budget.tasks[task], appraisal, critical=self._is_critical(task))

    def waits_for(self, task: str, now: datetime) -> str:
        """Return what a task waits for; needs no query."""
        state, appraisal = self.budget.tasks[task], self.budget.appraisal(task, now)
        return self._describe_wait(state, appraisal, self._trial(state), self.not_loaded(), now)

    def _describe_wait(
        self,
        state: TaskState,
        appraisal: Appraisal,
        trial: Trial | None,
        failures: Mapping[str, str],
        now: datetime,
    ) -> str:
        approvable = awaits_approval(state, self.rules.for_task(state.task))
        return describe_wait(
            state,
            appraisal,
            self.settings,
            now,
            phase=find_phase(state, appraisal, critical=self._is_critical(state.task)),
            progress=measure_progress(trial) if trial and not trial.is_serving else None,
            next_look=trial.next_look_at if trial else None,
            not_loaded=failures.get(state.serving.name) if state.serving else None,
            awaiting_approval=approvable.name if approvable else None,
            training=self.training().get(state.candidate.name) if state.candidate else None,
        )

    def _trial(self, state: TaskState) -> Trial | None:
        student = _shown_student(state)
        return self.evaluation.trials.get(student.name) if student else None

    def _is_critical(self, task: str) -> bool:
        if self.rules.for_task(task).critical or task in self.critical_tasks:
            return True
        return self.budget.tasks[task].steering.critical is not None

    def _standing(
        self, state: TaskState, stored: StoredFacts, failures: Mapping[str, str], now: datetime
    ) -> TaskStanding:
        task = state.task
        appraisal = self.budget.appraisal(task, now)
        student, trial = _shown_student(state), self._trial(state)
        investment = appraisal.investment if is_volume_known(state, now) else None
        price = state.ledger.teacher_price
        serving = state.serving
        return TaskStanding(
            task=task,
            phase=find_phase(state, appraisal, critical=self._is_critical(task)),
            waits_for=self._describe_wait(state, appraisal, trial, failures, now),
            examples=state.examples,
            needed=appraisal.needed_examples,
            teacher_price=None
            if price is None
            else TeacherPrice(usd=price, source=stored.price_sources.get(task, _UNKNOWN_PRICE_SOURCE)),
            roi=None if investment is None or investment.roi is None else float(investment.roi),
            break_even_calls=investment.break_even_calls if investment else None,
            weekly_calls=investment.weekly_calls if investment else None,
            student=student.name if student else None,
            stage=student.promotion.stage if student else None,
            not_loaded=failures.get(serving.name) if serving else None,
            judge=self.rules.for_task(task).judge,
            judge_failure=find_judge_failure(self.rules.for_task(task).judge, BACKENDS.health.failures),
            agreement=_measure_agreement(student, trial) if student else None,
            promised=trial.promised if trial else self.rules.for_task(task).min_agreement,
            trial=measure_progress(trial) if trial and not trial.is_serving else None,
            next_look=trial.next_look_at if trial else None,
            share=serving.promotion.share if serving else None,
            coverage=serving.proven_share if serving else None,
            today=stored.today.get(task, CallCounts()),
            to_date=CallCounts(calls=state.ledger.calls, served=state.ledger.served),
            spent_usd=state.ledger.total_cost,
            saved_usd=state.ledger.savings,
            last_decision=stored.last_decisions.get(task),
            steered=decisions_in_force(state, now),
        )


def _shown_student(state: TaskState) -> StudentState | None:
    """Return the student in service, else that on trial, else the last one."""
    return state.serving or state.candidate or state.latest_student


def _measure_agreement(student: StudentState, trial: Trial | None) -> MeasuredAgreement | None:
    """Return the agreement on audits of what a student serves; before the first audit, that of its gates."""
    if student.audited:
        return MeasuredAgreement(
            agreed=student.agreed,
            compared=student.audited,
            lower=anytime_lower_bound(student.agreed, student.audited),
            basis="audits of what it served",
        )
    return measure_gate_agreement(trial) if trial else None
