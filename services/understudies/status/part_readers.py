"""Read what a single service knows of the tasks."""

from collections.abc import Mapping
from datetime import datetime

from understudies.budget.settings import BudgetSettings
from understudies.evaluator.trial import Trial
from understudies.judges.backends import BACKENDS
from understudies.observer.totals import refresh_totals
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.store import Store
from understudies.status.parts import BudgetPart, EvaluatorPart, ObserverPart, TrialStanding
from understudies.status.price_sources import PriceSources
from understudies.status.queries import fetch_story, fetch_tasks
from understudies.status.reader import StatusReader, StoredFacts, TaskStates, TrialSource
from understudies.status.trial_progress import measure_gate_agreement, measure_progress


class _NoTrials:
    """The evaluation of a service that has none."""

    @property
    def trials(self) -> Mapping[str, Trial]:
        return {}


def budget_reader(budget: TaskStates, rules: TaskRulesLookup, settings: BudgetSettings) -> StatusReader:
    """Return a reader of what a budget service knows by itself."""
    return StatusReader(
        store=None,
        budget=budget,
        evaluation=_NoTrials(),
        rules=rules,
        settings=settings,
        not_loaded=dict,
        source="budget",
    )


async def read_budget_part(reader: StatusReader, now: datetime) -> BudgetPart:
    """Return what a budget service knows."""
    return BudgetPart(at=now, tasks=(await reader.overview(now)).tasks)


def read_evaluator_part(evaluation: TrialSource, now: datetime) -> EvaluatorPart:
    """Return what an evaluator knows."""
    return EvaluatorPart(
        at=now,
        trials={name: _standing(trial) for name, trial in evaluation.trials.items()},
        judge_failures=BACKENDS.health.failures,
    )


def _standing(trial: Trial) -> TrialStanding:
    return TrialStanding(
        promised=trial.promised,
        agreement=measure_gate_agreement(trial),
        progress=None if trial.is_serving else measure_progress(trial),
        next_look=trial.next_look_at,
    )


async def read_observer_part(
    store: Store, task: str | None, now: datetime, prices: PriceSources | None = None
) -> ObserverPart:
    """Return what the store of an observer knows; `prices` remembers between two readings where prices are from."""
    await refresh_totals(store)
    facts = await StoredFacts.fetch(store, prices or PriceSources(), await fetch_tasks(store), now)
    return ObserverPart(
        at=now,
        today=dict(facts.today),
        price_sources=dict(facts.price_sources),
        last_decisions=dict(facts.last_decisions),
        events=tuple(await fetch_story(store, task)) if task is not None else (),
    )
