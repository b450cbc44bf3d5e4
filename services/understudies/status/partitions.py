"""Read budget and evaluator where their state is kept by partition, in a service each."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import TypeVar

from understudies.budget.app import BudgetApp
from understudies.budget.appraisal import Appraisal
from understudies.budget.task_state import TaskState
from understudies.evaluator.app import EvaluatorApp
from understudies.evaluator.trial import Trial
from understudies.runtime.service import Service

Value = TypeVar("Value")


class PartitionedBudget:
    """The tasks of the budget services that `services` returns; no task is in two of them."""

    def __init__(self, services: Callable[[], Iterable[Service]]) -> None:
        self._services = services

    @property
    def tasks(self) -> Mapping[str, TaskState]:
        """The states of the tasks by name."""
        return _joined([app.tasks for app in self._apps()])

    def appraisal(self, task: str, now: datetime) -> Appraisal:
        """Return the decision that would be made now about a task's next student; raises KeyError for no such task."""
        for app in self._apps():
            if task in app.tasks:
                return app.appraisal(task, now)
        raise KeyError(task)

    def _apps(self) -> list[BudgetApp]:
        return [app for app in self._services() if isinstance(app, BudgetApp)]


class PartitionedTrials:
    """The trials of the evaluators that `services` returns."""

    def __init__(self, services: Callable[[], Iterable[Service]]) -> None:
        self._services = services

    @property
    def trials(self) -> Mapping[str, Trial]:
        """The trials by student."""
        return _joined([app.evaluation.trials for app in self._services() if isinstance(app, EvaluatorApp)])


def _joined(parts: list[MutableMapping[str, Value]]) -> Mapping[str, Value]:
    return ChainMap(*parts)
