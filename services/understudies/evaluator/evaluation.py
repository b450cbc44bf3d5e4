"""Judge invocations: shadow, audit and self-agreement verdicts, and the drift they show."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import Input, identify_input
from understudies.evaluator.change_monitor import CanaryRestriction
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.pending_audits import PendingAudits
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask_student
from understudies.evaluator.teacher_answers import RecentTeacherAnswers
from understudies.evaluator.trial import Trial
from understudies.evaluator.withholding import FailingClasses, failing_classes_from_json, failing_classes_to_json
from understudies.events import Drift, Event, GateDecision, Invocation, NewId, Phase, SeededIds, Verdict
from understudies.judges.answer_key import answer_class, answer_key
from understudies.judges.base import Judge
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.groups import groups_of
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.throttle import Throttle
from understudies.students.head_inputs import input_name
from understudies.students.student_cache import StudentCache

_log = logging.getLogger(__name__)


class Evaluation:
    """Everything on trial, the verdicts on it, and the calls that wait for their audit."""

    def __init__(
        self, settings: EvaluatorSettings, students: StudentCache, rules: TaskRulesLookup, new_id: NewId
    ) -> None:
        self.trials: OrderedDict[str, Trial] = OrderedDict()
        self._failing_classes: dict[str, FailingClasses] = {}
        self._rules = rules
        self._students = students
        self._new_id = new_id
        self.pending_audits = PendingAudits(settings.served_memory)
        self._teacher_answers = RecentTeacherAnswers(rules)
        self._log_throttle = Throttle()

    async def judge_calls(self, calls: Sequence[Invocation]) -> list[Event]:
        """The verdicts and alarms that the calls of one task give, in order."""
        found: list[Event] = []
        fresh: list[Invocation] = []
        for call in calls:
            if call.origin == "audit":
                found += self._judge_audit(call)
            elif call.response is not None and call.origin != "synthetic":
                self.pending_audits.add(call)
                found += self._detect_changes(call)
                if call.answered_by_teacher:
                    self._teacher_answers.add(call.task, call.response.message)
                    fresh.append(call)
        for trial in self._trials_of(fresh[0].task) if fresh else []:
            try:
                found += await self._judge_shadow(trial, fresh)
            except ArtifactError as error:
                found += self._end_unloadable(trial, fresh[-1], error)
            except RetryLater as error:
                # Audits must not wait for it, and evidence that is missed for such a reason is missed at random.
                if self._log_throttle():
                    _log.warning("student %s is not asked in shadow for now: %s", trial.student, error)
        return found

    def _trials_of(self, task: str) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.promotion.task == task]

    def _end_unloadable(self, trial: Trial, call: Invocation, error: ArtifactError) -> list[Event]:
        """End the trial of a student that can no longer be loaded; one in service keeps its audits."""
        if trial.is_serving:
            _log.warning("student %s cannot be asked in shadow: %s", trial.student, error)
            return []
        self.end_trial(trial.student)
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

    def end_trial(self, student: str) -> None:
        """Forget a trial; the classes that it failed are told to the task's next students."""
        trial = self.trials.pop(student, None)
        if trial is not None:
            self._failing_classes[trial.promotion.task] = {
                **self.failing_classes(trial.promotion.task),
                **trial.failing_classes(),
            }

    def failing_classes(self, task: str) -> FailingClasses:
        """The classes of answers that the task's students failed, with what each was taken for."""
        found = dict(self._failing_classes.get(task, {}))
        for trial in self._trials_of(task):
            found |= dict(trial.failing_classes())
        return found

    async def _judge_shadow(self, trial: Trial, calls: Sequence[Invocation]) -> list[Event]:
        # A student is asked only where its answer can count: what cannot be evidence is not worth paying for.
        system = trial.shape.system
        known = [(call, identify_input(call.request, call.fingerprint, call.episode, system)) for call in calls]
        useful = [(call, one) for call, one in known if self._is_useful(trial, call, one)]
        if not useful:
            return []
        student = await self._students.get(trial.artifact)
        answers = await ask_student(student, [call.request for call, _ in useful])
        found: list[Event] = []
        for (call, one), answer in zip(useful, answers, strict=True):
            if answer is None or call.response is None:
                continue
            judged = trial.judge.judge(call.response.message, answer.message)
            kind = answer_class(call.response.message, trial.judge)
            piece = Observation(
                float(judged.agreed),
                answer.confidence,
                call.at,
                answer_class=kind,
                answer=answer_key(answer.message),
                groups=self._subgroups(call),
                head=answer.head,
            )
            if not call.unbiased:
                trial.add_class_verdict(one, piece)
                continue
            first = trial.add(one, piece, call.request)
            found.append(
                Verdict(
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
                    answer_class=kind,
                    counts=first,
                )
            )
        return found

    def _is_useful(self, trial: Trial, call: Invocation, one: Input) -> bool:
        """Whether a student's answer to a call would be evidence: of agreement, or of a class that it cannot know."""
        if call.unbiased:
            return trial.can_use(one, call.at)
        escalated = call.route is not None and call.route.reason == "low_confidence"
        if not escalated or call.student != trial.student or call.response is None:
            return False
        return trial.withholding.class_floor.is_rare(answer_class(call.response.message, trial.judge))

    def _subgroups(self, call: Invocation) -> tuple[str, ...]:
        return groups_of(self._rules.for_task(call.task).watch, call.tenant, call.tags)

    def _judge_audit(self, audit: Invocation) -> list[Event]:
        call = self.pending_audits.pop_audited(audit)
        if call is None or call.response is None or audit.response is None:
            return []
        if call.served_by == "teacher":
            judge = self._task_judge(call.task)
            return [self._verdict(audit, call, judge, "teacher", "self_agreement")] if judge else []
        trial = self.trials.get(call.student or "")
        if trial is None:
            return []
        verdict = self._verdict(audit, call, trial.judge, trial.student, "audit")
        one = identify_input(call.request, call.fingerprint, call.episode, trial.shape.system)
        piece = Observation(
            float(verdict.agreed),
            call.confidence or 0.0,
            audit.at,
            answer_class=verdict.answer_class,
            answer=answer_key(call.response.message),
            groups=self._subgroups(call),
            head=input_name(call.request, trial.shape.system) if call.route and call.route.head else None,
        )
        if not trial.add_audit(one, piece, drawn=_is_random_audit(call)):
            return [verdict]
        self._update_levels(trial, call, piece, one)
        hold = trial.changes.observe_teacher(audit.model, audit.at)
        return [verdict, *self._apply_restriction(trial, hold, audit), *self._drift_alarm(trial, audit)]

    def _update_levels(self, trial: Trial, call: Invocation, piece: Observation, one: Input) -> None:
        """Feed the levels with an audited call, for the thresholds from the one that it had to reach."""
        served_from = call.route.threshold if call.route else None
        if served_from is None:
            served_from = trial.promotion.threshold
        if call.confidence is not None and served_from is not None and piece.head is None:
            trial.add_audited_call(piece, served_from, one)

    def _detect_changes(self, call: Invocation) -> list[Event]:
        """What a call shows to have changed: its teacher, the kind of its day, or how sure students are of such."""
        found: list[Event] = []
        for trial in self._trials_of(call.task):
            if call.answered_by_teacher:
                found += self._apply_restriction(trial, trial.changes.observe_teacher(call.model, call.at), call)
            elif call.served_by == "student" and call.student == trial.student and trial.is_serving:
                threshold = trial.promotion.threshold or 0.0
                found += self._apply_restriction(trial, trial.changes.observe_served(call.at, threshold), call)
        return found + self._detect_coverage_shift(call)

    def _apply_restriction(self, trial: Trial, hold: CanaryRestriction | None, call: Invocation) -> list[Event]:
        """The news that a student is to be proven anew; one that serves nothing just begins its proof again."""
        if not trial.apply_restriction(hold) or hold is None:
            return []
        if not trial.is_serving:
            trial.changes.lift()
            return []
        return [
            Drift(
                id=verdict_id(hold.cause, call.id, trial.student, call.at),
                at=call.at,
                task=call.task,
                student=trial.student,
                tier="warn",
                drifted=False,
                cause=hold.cause,
                confidence=0.999 if hold.cause == "traffic" else 1.0,
                statistic=trial.coverage_shift.share,
                audited=trial.audit_count,
            )
        ]

    def _detect_coverage_shift(self, call: Invocation) -> list[Event]:
        """A warning where the student in service is sure of fewer or more calls than it was proven on.

        Where a budget is spent, only what it was sure of is answered at all: that says nothing.
        """
        if call.route is not None and call.route.reason == "over_budget":
            return []
        trial = self.trials.get(call.student or "")
        if trial is None or not trial.is_serving or call.confidence is None:
            return []
        if call.route is not None and call.route.head:
            return []
        if not trial.observe_confidence(call.confidence, call.at):
            return []
        return self._apply_restriction(trial, trial.changes.on_coverage_shift(call.at), call)

    def _task_judge(self, task: str) -> Judge | None:
        """The judge of the task's latest trial; without one, that of the teacher's answers."""
        on_trial = [trial.judge for trial in self._trials_of(task)]
        return on_trial[-1] if on_trial else self._teacher_answers.choose_judge(task)

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
            spot_check=not _is_random_audit(call),
            counts=False,
        )

    def _drift_alarm(self, trial: Trial, audit: Invocation) -> list[Event]:
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
                audited=trial.audit_count,
                agreement_before=drift.baseline,
                agreement_after=detector.recent_agreement,
            )
        ]

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        trials = [trial.state() for trial in self.trials.values()]
        return {
            "trials": trials,
            "awaited": self.pending_audits.state(),
            "failing": {task: failing_classes_to_json(found) for task, found in self._failing_classes.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        for saved in state["trials"]:
            trial = Trial.from_state(saved)
            self.trials[trial.student] = trial
        # A snapshot from before they were kept has none.
        self.pending_audits.restore(state.get("awaited", {}))
        self._failing_classes = {
            task: failing_classes_from_json(found) for task, found in state.get("failing", {}).items()
        }


def _is_random_audit(call: Invocation) -> bool:
    """Whether a call was drawn by lot to be audited, not as the first of its answer on a day alone."""
    return call.route is None or not call.route.spot_check or bool(call.route.drawn)


def verdict_id(kind: str, invocation: str, student: str, at: datetime) -> str:
    """The id that follows from what was judged: judging a call again, as after a crash, makes the same event again."""
    return SeededIds(f"{kind}:{invocation}:{student}")(at)
