"""Judges invocations: shadow, audit and self-agreement verdicts, and the drift they show."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from understudies.evaluator.audits import Awaited
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask
from understudies.evaluator.teachers import Teachers
from understudies.evaluator.trial import Trial
from understudies.evaluator.verdict_id import verdict_id
from understudies.evaluator.waiting import Piece
from understudies.events import Drift, Event, GateDecision, Invocation, NewId, Phase, Verdict
from understudies.judges import Judge, answer_class
from understudies.runtime import RetryLater, Seldom
from understudies.runtime.rules import TaskRulesOf
from understudies.students import ArtifactError, Shelf, input_of

_log = logging.getLogger(__name__)


class Evaluation:
    """Everything on trial, the verdicts on it, and the calls that wait for their audit."""

    def __init__(self, settings: EvaluatorSettings, shelf: Shelf, rules: TaskRulesOf, new_id: NewId) -> None:
        self.trials: OrderedDict[str, Trial] = OrderedDict()
        self._shelf = shelf
        self._new_id = new_id
        self.awaited = Awaited(settings.served_memory)
        self._teachers = Teachers(rules)
        self._complain = Seldom()

    async def judge(self, calls: Sequence[Invocation]) -> list[Event]:
        """The verdicts and alarms that the calls of one task give, in order."""
        found: list[Event] = []
        fresh: list[Invocation] = []
        for call in calls:
            if call.origin == "audit":
                found += self._audit(call)
            elif call.response is not None and call.origin != "synthetic":
                self.awaited.remember(call)
                found += self._shift(call)
                if call.answered_by_teacher:
                    self._teachers.remember(call.task, call.response.message)
                    fresh.append(call)
        for trial in self._of(fresh[0].task) if fresh else []:
            try:
                found += await self._shadow(trial, fresh)
            except ArtifactError as error:
                found += self._lost(trial, fresh[-1], error)
            except RetryLater as error:
                # Audits must not wait for it, and evidence that is missed for such a reason is missed at random.
                if self._complain():
                    _log.warning("student %s is not asked in shadow for now: %s", trial.student, error)
        return found

    def _of(self, task: str) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.story.task == task]

    def _lost(self, trial: Trial, call: Invocation, error: ArtifactError) -> list[Event]:
        """End the trial of a student that can no longer be loaded; one in service keeps its audits."""
        if trial.in_service:
            _log.warning("student %s cannot be asked in shadow: %s", trial.student, error)
            return []
        del self.trials[trial.student]
        return [
            GateDecision(
                id=self._new_id(call.at),
                at=call.at,
                task=call.task,
                student=trial.student,
                decision="reject",
                reason=f"can no longer be tried: {error}",
            )
        ]

    async def _shadow(self, trial: Trial, calls: Sequence[Invocation]) -> list[Event]:
        # A student is asked only where its answer can count: what cannot be evidence is not worth paying for.
        system = trial.shape.system
        drawn = [call for call in calls if call.unbiased]
        known = [(call, input_of(call.request, call.fingerprint, call.episode, system)) for call in drawn]
        useful = [(call, one) for call, one in known if trial.takes(one)]
        if not useful:
            return []
        student = await self._shelf.get(trial.artifact)
        answers = await ask(student, [call.request for call, _ in useful])
        found: list[Event] = []
        for (call, one), answer in zip(useful, answers, strict=True):
            if answer is None or call.response is None or not trial.takes(one):
                continue
            judged = trial.judge.judge(call.response.message, answer.message)
            verdict = Verdict(
                id=verdict_id("shadow", call.id, trial.student, call.at),
                at=call.at,
                task=call.task,
                invocation=call.id,
                student=trial.student,
                phase="shadow",
                agreed=judged.agreed,
                score=judged.score,
                judge=trial.judge.name,
                why=judged.why,
                confidence=answer.confidence,
                fingerprint=call.fingerprint,
                answer_class=answer_class(call.response.message, trial.judge),
            )
            trial.add(float(judged.agreed), answer.confidence, one, verdict.answer_class, call.at)
            found.append(verdict)
        return found

    def _audit(self, audit: Invocation) -> list[Event]:
        call = self.awaited.pair(audit)
        if call is None or call.response is None or audit.response is None:
            return []
        if call.served_by == "teacher":
            judge = self._judge(call.task)
            return [self._verdict(audit, call, judge, "teacher", "self_agreement")] if judge else []
        trial = self.trials.get(call.student or "")
        if trial is None:
            return []
        verdict = self._verdict(audit, call, trial.judge, trial.student, "audit")
        if not trial.audit(float(verdict.agreed), call.fingerprint, audit.at):
            return [verdict]
        self._beyond(trial, call, float(verdict.agreed), audit.at)
        return [verdict, *self._alarm(trial, audit)]

    def _beyond(self, trial: Trial, call: Invocation, score: float, at: datetime) -> None:
        """Feed the levels with an audited call, for the thresholds from the one that it had to reach."""
        served_from = call.route.threshold if call.route else None
        if served_from is None:
            served_from = trial.story.threshold
        if call.confidence is not None and served_from is not None:
            one = input_of(call.request, call.fingerprint, call.episode, trial.shape.system)
            trial.audited_call(Piece(score, call.confidence, at), served_from, one)

    def _shift(self, call: Invocation) -> list[Event]:
        """A warning where the student in service is sure of fewer or more calls than it was proven on.

        Where a budget is spent, only what it was sure of is answered at all: that says nothing.
        """
        if call.route is not None and call.route.reason == "over_budget":
            return []
        trial = self.trials.get(call.student or "")
        if trial is None or not trial.in_service or call.confidence is None:
            return []
        if not trial.asked(call.confidence, call.at):
            return []
        return [
            Drift(
                id=verdict_id("shift", call.id, trial.student, call.at),
                at=call.at,
                task=call.task,
                student=trial.student,
                tier="warn",
                drifted=False,
                confidence=0.999,
                statistic=trial.traffic.share,
                audited=trial.audited,
            )
        ]

    def _judge(self, task: str) -> Judge | None:
        """The judge of the task's latest trial; without one, that of the teacher's answers."""
        on_trial = [trial.judge for trial in self._of(task)]
        return on_trial[-1] if on_trial else self._teachers.judge(task)

    def _verdict(self, audit: Invocation, call: Invocation, judge: Judge, student: str, phase: Phase) -> Verdict:
        assert audit.response is not None
        assert call.response is not None
        judged = judge.judge(audit.response.message, call.response.message)
        return Verdict(
            id=verdict_id(phase, audit.id, student, audit.at),
            at=audit.at,
            task=audit.task,
            invocation=call.id,
            student=student,
            phase=phase,
            agreed=judged.agreed,
            score=judged.score,
            judge=judge.name,
            why=judged.why,
            confidence=call.confidence,
            fingerprint=call.fingerprint,
            answer_class=answer_class(audit.response.message, judge),
            counts=False,
        )

    def _alarm(self, trial: Trial, audit: Invocation) -> list[Event]:
        drift = trial.drift
        if drift is None or drift.tier is None:
            return []
        detector = drift.contract if drift.tier == "contract" else drift.warn
        return [
            Drift(
                id=verdict_id(drift.tier, audit.id, trial.student, audit.at),
                at=audit.at,
                task=audit.task,
                student=trial.student,
                tier=drift.tier,
                confidence=1 - 1 / detector.threshold,
                statistic=min(detector.statistic, 1e12),
                audited=trial.audited,
                agreement_before=drift.baseline,
                agreement_after=detector.recent_agreement,
            )
        ]

    def state(self) -> dict[str, Any]:
        return {"trials": [trial.state() for trial in self.trials.values()], "awaited": self.awaited.state()}

    def restore(self, state: dict[str, Any]) -> None:
        for saved in state["trials"]:
            trial = Trial.from_state(saved)
            self.trials[trial.student] = trial
        # A snapshot from before they were kept has none.
        self.awaited.restore(state.get("awaited", {}))
