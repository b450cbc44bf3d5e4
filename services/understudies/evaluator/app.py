"""The evaluator: does the student agree with the teacher?"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from understudies.evaluator.evaluation import Evaluation
from understudies.evaluator.finding import Finding
from understudies.evaluator.opening import open_trial
from understudies.evaluator.promise import evidence_of, reason_of
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.trial import Trial
from understudies.events import INVOCATIONS, PROMOTIONS, Event, GateDecision, Invocation, NewId, Promotion
from understudies.runtime import Bus, Record, RetryLater, Seldom
from understudies.runtime.outbox import Outbox
from understudies.runtime.rules import TaskRulesOf
from understudies.runtime.seen import Seen
from understudies.students import ArtifactError, Files, Shelf

_log = logging.getLogger(__name__)
_OVER = frozenset({"rejected", "demoted", "retired"})
_AGAIN: Final = timedelta(seconds=30)
"""After which files that were away are read again: meanwhile audits do not wait for them."""


class EvaluatorApp:
    """Consumes invocations and promotions; publishes verdicts, gate decisions and drift."""

    name = "evaluator"
    topics = (INVOCATIONS, PROMOTIONS)
    max_records = 2000

    def __init__(
        self, settings: EvaluatorSettings, *, bus: Bus, files: Files, shelf: Shelf, rules: TaskRulesOf, new_id: NewId
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._seen = Seen()
        self._outbox = Outbox(bus)
        self._files = files
        self._shelf = shelf
        self._rules = rules
        self._new_id = new_id
        self.behind = False
        self.evaluation = Evaluation(settings, shelf, rules, new_id)
        self._complain = Seldom()
        self._put_off: dict[str, Promotion] = {}
        self._tried_at: datetime | None = None

    async def start(self) -> None:
        """Nothing to open: students are loaded when they are tried."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold new events in, then publish what they show; an unpublished verdict stays in the outbox."""
        events = self._seen.fresh(await self._bus.events(records))
        for event in events:
            if isinstance(event, Promotion):
                self._outbox.add(await self._follow(event))
                self._seen.add([event])
        calls = sorted((event for event in events if isinstance(event, Invocation)), key=lambda call: call.task)
        for _, group in groupby(calls, key=lambda call: call.task):
            batch = list(group)
            self._outbox.add(await self.evaluation.judge(batch))
            self._seen.add(batch)
        await self._outbox.flush()

    async def _follow(self, story: Promotion) -> list[Event]:
        trials = self.evaluation.trials
        if story.stage in _OVER:
            self.evaluation.end(story.student)
            self._put_off.pop(story.student, None)
        elif story.stage == "trained" and story.student not in trials:
            return await self._open(story)
        elif story.stage in ("qualified", "promoted"):
            return await self._serve(story)
        return []

    async def _open(self, story: Promotion) -> list[Event]:
        rules = self._rules.of(story.task)
        self._put_off.pop(story.student, None)
        try:
            carried = self.evaluation.failing(story.task)
            trial, verdicts = await open_trial(story, rules, self._settings, self._files, self._shelf, carried=carried)
        except ArtifactError as error:
            return [self._decision(story, story.at, "reject", reason=str(error))]
        except RetryLater as error:
            self._put_off[story.student] = story
            if self._complain():
                _log.warning("the trial of %s is put off: %s", story.student, error)
            return []
        self.evaluation.trials[story.student] = trial
        return list(verdicts)

    async def _serve(self, story: Promotion) -> list[Event]:
        found: list[Event] = []
        if story.student not in self.evaluation.trials:
            # A student in force whose trial was lost with a snapshot: try it anew, on what is held out.
            found = await self._open(story)
        trial = self.evaluation.trials.get(story.student)
        if trial is not None and story.stage == "promoted":
            trial.promoted(story)
        return found

    def is_due(self, now: datetime) -> bool:
        """Whether a day of calls has ended that some gates were not looked at for: all of them must be read first."""
        return any(trial.is_due(now) for trial in self.evaluation.trials.values())

    async def tick(self, now: datetime) -> None:
        """Look at what is news, and at the gates once whole days of calls have ended; open trials that were put off."""
        await self._open_again(now)
        for trial in self.evaluation.trials.values():
            found = trial.look(now, behind=self.behind)
            if found is not None:
                self._outbox.add([self._decided(trial, found, now)])
        await self._outbox.flush()

    def _decided(self, trial: Trial, found: Finding, now: datetime) -> GateDecision:
        served = found.outcome == "promote"
        return self._decision(
            trial.story,
            now,
            found.outcome,
            threshold=found.threshold,
            coverage=found.coverage if served else None,
            head_threshold=found.head_threshold,
            levels=found.levels,
            withheld=found.withheld,
            judge=trial.judge.name,
            reason=reason_of(trial, found),
            evidence=evidence_of(trial, found),
        )

    async def _open_again(self, now: datetime) -> None:
        if self._put_off and (self._tried_at is None or now - self._tried_at >= _AGAIN):
            self._tried_at = now
            for story in list(self._put_off.values()):
                self._outbox.add(await self._follow(story))

    def _decision(self, story: Promotion, at: datetime, decision: Any, **rest: Any) -> GateDecision:
        return GateDecision(
            id=self._new_id(at), at=at, task=story.task, student=story.student, decision=decision, **rest
        )

    async def stop(self) -> None:
        """Nothing to close."""

    def said(self) -> list[Event]:
        """The decisions and alarms published last."""
        return self._outbox.said()

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        put_off = [story.model_dump(mode="json") for story in self._put_off.values()]
        kept = {"seen": self._seen.state(), "outbox": self._outbox.state(), "put_off": put_off}
        return {**self.evaluation.state(), **kept}

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.evaluation.restore(state)
        self._seen = Seen(ids=state["seen"])
        self._outbox.restore(state["outbox"])
        # A snapshot from before trials were put off has none.
        stories = [Promotion.model_validate(saved) for saved in state.get("put_off", ())]
        self._put_off = {story.student: story for story in stories}


def create_app(
    settings: EvaluatorSettings, *, bus: Bus, files: Files, shelf: Shelf, rules: TaskRulesOf, new_id: NewId
) -> EvaluatorApp:
    """The evaluator, composed."""
    return EvaluatorApp(settings, bus=bus, files=files, shelf=shelf, rules=rules, new_id=new_id)
