"""The evaluator: measure a student's agreement with its teacher, and gate its promotion on it."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated, Any, Final

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.evaluation import Evaluation
from understudies.evaluator.gate_decisions import decision_evidence, decision_reason
from understudies.evaluator.open_trial import open_trial
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.trial import Trial
from understudies.evaluator.trial_result import TrialResult
from understudies.events import INVOCATIONS, PROMOTIONS, Event, GateDecision, Invocation, NewId, Promotion
from understudies.judge_backends.install import install_judge_backends
from understudies.persistence.fields import AsArray
from understudies.persistence.saved_state import IN_PLACE, Key, SavedState
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.deduplication import SeenIds
from understudies.runtime.bus.messages import Record
from understudies.runtime.bus.outbox import Outbox
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.throttle import Throttle
from understudies.students.student_cache import StudentCache

_log = logging.getLogger(__name__)
_TERMINAL_STAGES = frozenset({"rejected", "demoted", "retired"})
_RETRY_INTERVAL: Final = timedelta(seconds=30)
"""Delay before files that were unavailable are read again; audits are not held up meanwhile."""


class EvaluatorApp(SavedState):
    """Consume invocations and promotions; publish verdicts, gate decisions and drift."""

    name = "evaluator"
    topics = (INVOCATIONS, PROMOTIONS)
    max_records = 2000

    _seen: Annotated[SeenIds, IN_PLACE]
    _outbox: Annotated[Outbox, IN_PLACE]
    _deferred: Annotated[dict[str, Promotion], Key("put_off", default=dict), AsArray(("student",))]

    def __init__(
        self,
        settings: EvaluatorSettings,
        *,
        bus: Bus,
        object_store: ObjectStore,
        students: StudentCache,
        rules: TaskRulesLookup,
        new_id: NewId,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._seen = SeenIds()
        self._outbox = Outbox(bus)
        self._object_store = object_store
        self._students = students
        self._rules = rules
        self._new_id = new_id
        self.is_behind = False
        self.evaluation = Evaluation(settings, students, rules, new_id)
        self._log_throttle = Throttle()
        self._deferred = {}
        self._retried_at: datetime | None = None

    async def start(self) -> None:
        """Do nothing: students are loaded when their trials are opened."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold new events, then publish the results; an unpublished verdict stays in the outbox."""
        events = self._seen.filter_new(await self._bus.decode_events(records))
        for event in events:
            if isinstance(event, Promotion):
                self._outbox.add(await self._on_promotion(event))
                self._seen.add([event])
        calls = sorted((event for event in events if isinstance(event, Invocation)), key=lambda call: call.task)
        for _, group in groupby(calls, key=lambda call: call.task):
            batch = list(group)
            self._outbox.add(await self.evaluation.judge_calls(batch))
            self._seen.add(batch)
        await self._outbox.flush()

    async def _on_promotion(self, promotion: Promotion) -> list[Event]:
        trials = self.evaluation.trials
        if promotion.stage in _TERMINAL_STAGES:
            trial = trials.get(promotion.student)
            self.evaluation.end_trial(promotion.student)
            if trial is not None:
                self._students.release(trial.artifact)
            self._deferred.pop(promotion.student, None)
        elif promotion.stage == "trained" and promotion.student not in trials:
            return await self._open_trial(promotion)
        elif promotion.stage in ("qualified", "promoted"):
            return await self._resume_trial(promotion)
        return []

    async def _open_trial(self, promotion: Promotion) -> list[Event]:
        rules = self._rules.for_task(promotion.task)
        self._deferred.pop(promotion.student, None)
        try:
            carried = self.evaluation.failing_classes(promotion.task)
            trial, verdicts = await open_trial(
                promotion, rules, self._settings, self._object_store, self._students, carried=carried
            )
        except ArtifactError as error:
            return [self._decision(promotion, promotion.at, "reject", reason=str(error))]
        except RetryLater as error:
            self._deferred[promotion.student] = promotion
            if self._log_throttle():
                _log.warning("the trial of %s is put off: %s", promotion.student, error)
            return []
        self.evaluation.trials[promotion.student] = trial
        return list(verdicts)

    async def _resume_trial(self, promotion: Promotion) -> list[Event]:
        events: list[Event] = []
        if promotion.student not in self.evaluation.trials:
            # The trial of a serving student was lost with a snapshot: open it again on the held-out examples.
            events = await self._open_trial(promotion)
        trial = self.evaluation.trials.get(promotion.student)
        if trial is not None and promotion.stage == "promoted":
            trial.on_promoted(promotion)
        return events

    def is_period_due(self, now: datetime) -> bool:
        """Return whether a day of calls has ended since some trial's last look.

        All calls of that day must be read before the look.
        """
        return any(trial.is_due(now) for trial in self.evaluation.trials.values())

    async def tick(self, now: datetime) -> None:
        """Open deferred trials, then publish the decisions that changed.

        The gates are evaluated once whole days of calls have ended.
        """
        await self._retry_deferred(now)
        self._outbox.add(self.evaluation.apply_retirements(now))
        for trial in self.evaluation.trials.values():
            result = trial.look(now, behind=self.is_behind)
            if result is not None:
                self._outbox.add([self._gate_decision(trial, result, now)])
        await self._outbox.flush()

    def _gate_decision(self, trial: Trial, result: TrialResult, now: datetime) -> GateDecision:
        is_promoted = result.outcome == "promote"
        return self._decision(
            trial.promotion,
            now,
            result.outcome,
            threshold=result.threshold,
            coverage=result.coverage if is_promoted else None,
            head_threshold=result.head_threshold,
            levels=result.levels,
            withheld=result.withheld,
            judge=trial.judge.name,
            reason=decision_reason(trial, result),
            evidence=decision_evidence(trial, result),
        )

    async def _retry_deferred(self, now: datetime) -> None:
        if self._deferred and (self._retried_at is None or now - self._retried_at >= _RETRY_INTERVAL):
            self._retried_at = now
            for promotion in list(self._deferred.values()):
                self._outbox.add(await self._on_promotion(promotion))

    def _decision(self, promotion: Promotion, at: datetime, decision: Any, **rest: Any) -> GateDecision:
        return GateDecision(
            id=self._new_id(at), at=at, task=promotion.task, student=promotion.student, decision=decision, **rest
        )

    async def stop(self) -> None:
        """Do nothing: there is nothing to close."""

    def recently_published(self) -> list[Event]:
        """Return the latest published decisions and alarms."""
        return self._outbox.recently_published()

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the trials, and what waits to be published, of all tasks of which `owns` is not true."""
        self.evaluation.keep_tasks(owns)
        self._deferred = {name: one for name, one in self._deferred.items() if owns(one.task)}
        self._outbox.keep_tasks(owns)

    def state(self) -> Any:
        """Return a JSON-serialisable snapshot, that of the evaluation included."""
        return {**self.evaluation.state(), **super().state()}

    async def restore(self, state: dict[str, Any]) -> None:
        """Restore the state from a snapshot."""
        self.evaluation.restore_state(state)
        self.restore_state(state)


def create_app(
    settings: EvaluatorSettings,
    *,
    bus: Bus,
    object_store: ObjectStore,
    students: StudentCache,
    rules: TaskRulesLookup,
    new_id: NewId,
) -> EvaluatorApp:
    """Build the evaluator."""
    install_judge_backends()
    return EvaluatorApp(settings, bus=bus, object_store=object_store, students=students, rules=rules, new_id=new_id)
