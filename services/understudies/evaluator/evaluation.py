"""Judge invocations: shadow, audit and self-agreement verdicts, and the drift they reveal."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Final, Literal, NamedTuple

from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import Input, identify_input
from understudies.evaluator.change_monitor import CanaryRestriction
from understudies.evaluator.evidence.pending_evidence import NOT_SERVED, Observation
from understudies.evaluator.judging import AnswerPair, judge_pairs
from understudies.evaluator.pending_audits import PendingAudits
from understudies.evaluator.retirements import Retirements
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.shadow import ask_student
from understudies.evaluator.teacher_answers import RecentTeacherAnswers
from understudies.evaluator.trial import Trial
from understudies.evaluator.withholding import FailingClasses
from understudies.events import (
    Drift,
    Event,
    GateDecision,
    Invocation,
    Message,
    NewId,
    Phase,
    SeededIds,
    Verdict,
    position,
)
from understudies.judges.answer_key import answer_class, answer_key
from understudies.judges.answer_text import answer_text
from understudies.judges.base import Judge, Judgement
from understudies.judges.fallible import for_audits, human_marks
from understudies.persistence.fields import AsArray
from understudies.persistence.saved_state import IN_PLACE, Key, SavedState
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.groups import groups_of
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.throttle import Throttle
from understudies.students.base import Answer
from understudies.students.head_inputs import input_name
from understudies.students.student_cache import StudentCache

_log = logging.getLogger(__name__)


_LEFT_TO_TEACHER: Final = frozenset({"low_confidence", "withheld", "unconfirmed", "unproven", "student_error"})
"""Reasons for which a call on which a student was asked is left to the teacher."""
_SAMPLE_SALT: Final = "sample"


class AnsweredCall(NamedTuple):
    """A call with the teacher's answer to it, its own or that of its audit."""

    call: Invocation
    answer: Message


class Evaluation(SavedState):
    """The trials, the verdicts on their students, and the calls that wait for their audit."""

    trials: Annotated[OrderedDict[str, Trial], AsArray(("story", "student"))]
    pending_audits: Annotated[PendingAudits, Key("awaited", default=lambda: None), IN_PLACE]
    _failing_classes: Annotated[dict[str, FailingClasses], Key("failing", default=dict)]
    _over_budget: Annotated[dict[str, date], Key(default=dict)]
    """The last day (UTC) on which a task's budget was spent."""

    def __init__(
        self, settings: EvaluatorSettings, students: StudentCache, rules: TaskRulesLookup, new_id: NewId
    ) -> None:
        self.trials = OrderedDict()
        self._failing_classes = {}
        self._over_budget = {}
        self._rules = rules
        self._students = students
        self._new_id = new_id
        self._judge_wait_s = settings.judge_wait_s
        self.pending_audits = PendingAudits(settings.served_memory)
        self._retirements = Retirements(rules)
        self._teacher_answers = RecentTeacherAnswers(rules)
        self._log_throttle = Throttle()

    async def judge_calls(self, calls: Sequence[Invocation]) -> list[Event]:
        """Return the verdicts and alarms from the calls of one task, in order."""
        events: list[Event] = []
        answered: list[AnsweredCall] = []
        successions: list[AnsweredCall] = []
        for call in calls:
            if call.origin == "imported":
                # Of a log that was recorded earlier: it is evidence in a dataset or nowhere.
                continue
            if call.route is not None and call.route.reason == "over_budget":
                self._over_budget[call.task] = call.at.date()
            if call.origin == "succession":
                if call.response is not None and call.response.says_something and call.served_by == "teacher":
                    successions.append(AnsweredCall(call, call.response.message))
            elif call.origin == "audit":
                audited = self._pop_audited(call)
                if audited is not None:
                    events += await self._judge_audit(call, audited.call)
                    # A call that the teacher answered itself was evidence when it came.
                    if audited.call.served_by == "student":
                        answered.append(audited)
            elif call.response is not None and call.origin != "synthetic":
                self.pending_audits.add(call)
                events += self._detect_changes(call)
                if call.answered_by_teacher:
                    self._teacher_answers.add(call.task, call.response.message)
                    answered.append(AnsweredCall(call, call.response.message))
        for trial in self._trials_of(calls[0].task) if answered or successions else []:
            try:
                events += await self._judge_shadow(trial, answered)
                events += await self._judge_successions(trial, successions)
            except ArtifactError as error:
                events += self._end_unloadable(trial, [*answered, *successions][-1].call, error)
            except RetryLater as error:
                # Audits must not wait for the student, and evidence lost to such an outage is missing at random.
                if self._log_throttle():
                    _log.warning("student %s is temporarily unavailable in shadow: %s", trial.student, error)
        return events

    def _trials_of(self, task: str) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.promotion.task == task]

    def _end_unloadable(self, trial: Trial, call: Invocation, error: ArtifactError) -> list[Event]:
        """End the trial of a student that can no longer be loaded; for a serving one, audits continue."""
        if trial.is_serving:
            _log.warning("student %s cannot be loaded for shadow answers: %s", trial.student, error)
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
        """Remove a trial; the classes that it failed are carried over to the task's next students."""
        trial = self.trials.pop(student, None)
        if trial is not None:
            self._failing_classes[trial.promotion.task] = {
                **self.failing_classes(trial.promotion.task),
                **trial.failing_classes(),
            }

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the trials, and the calls that wait for their audit, of all tasks of which `owns` is not true."""
        self.trials = OrderedDict((name, trial) for name, trial in self.trials.items() if owns(trial.promotion.task))
        self._failing_classes = {task: classes for task, classes in self._failing_classes.items() if owns(task)}
        self._over_budget = {task: day for task, day in self._over_budget.items() if owns(task)}
        self.pending_audits.keep_tasks(owns)

    def failing_classes(self, task: str) -> FailingClasses:
        """Return the classes of answers that the task's students failed, with the answers given in their place."""
        failing = dict(self._failing_classes.get(task, {}))
        for trial in self._trials_of(task):
            failing |= dict(trial.failing_classes())
        return failing

    async def _judge_shadow(self, trial: Trial, answered: Sequence[AnsweredCall]) -> list[Event]:
        # Ask the student only where its answer can be evidence: other answers are not worth paying for.
        system = trial.shape.system
        useful: list[tuple[AnsweredCall, Input, bool]] = []
        for one in answered:
            call = one.call
            if call.served_by == "student" and call.student == trial.student:
                continue
            if trial.changes.predates_teacher(call.at):
                continue
            call_input = identify_input(call.request, call.fingerprint, call.episode, system)
            sampled = self._is_sampled(trial, call)
            if trial.can_use(call_input, call.at) if sampled else self._is_of_rare_class(trial, one):
                useful.append((one, call_input, sampled))
        if not useful:
            return []
        student = await self._students.get(trial.artifact)
        answers = await ask_student(student, [one.call.request for one, _, _ in useful])
        answered_pairs = [(one, answer) for one, answer in zip(useful, answers, strict=True) if answer is not None]
        pairs = [AnswerPair(one.answer, answer.message) for (one, _, _), answer in answered_pairs]
        judgements = await judge_pairs(trial.judge, pairs, self._judge_wait_s)
        verdicts: list[Event] = []
        for (((call, teacher_answer), call_input, sampled), answer), judgement in zip(
            answered_pairs, judgements, strict=True
        ):
            if sampled:
                trial.count_verdict(call.at, given=judgement is not None)
            if judgement is None:
                continue
            kind = answer_class(teacher_answer, trial.judge)
            observation = Observation(
                float(judgement.agreed),
                answer.confidence,
                call.at,
                answer_class=kind,
                answer=answer_key(answer.message),
                groups=self._subgroups(call),
                head=answer.head,
            )
            own = call.student == trial.student and not call.unbiased
            if own and self._is_of_rare_class(trial, AnsweredCall(call, teacher_answer)):
                trial.add_class_verdict(call_input, observation)
            if not sampled:
                continue
            if own:
                first = trial.add_evidence(call_input, replace(observation, served_from=NOT_SERVED), call.request)
            else:
                first = trial.add(call_input, observation, call.request)
            verdicts.append(_verdict("shadow", trial, call, kind, answer, judgement, counts=first))
        return verdicts

    async def _judge_successions(self, trial: Trial, answered: Sequence[AnsweredCall]) -> list[Event]:
        """Compare a student in service with the successor of its teacher, on calls drawn whoever served them."""
        asked = [one for one in answered if trial.is_serving and one.call.model not in trial.changes.teachers]
        if not asked:
            return []
        student = await self._students.get(trial.artifact)
        answers = await ask_student(student, [one.call.request for one in asked])
        pairs = [(one, answer) for one, answer in zip(asked, answers, strict=True) if answer is not None]
        judged = await judge_pairs(
            trial.judge, [AnswerPair(one.answer, answer.message) for one, answer in pairs], self._judge_wait_s
        )
        verdicts: list[Event] = []
        for (one, answer), judgement in zip(pairs, judged, strict=True):
            trial.count_succession_verdict(one.call.model, one.call.at, given=judgement is not None)
            if judgement is None:
                continue
            call = one.call
            call_input = identify_input(call.request, call.fingerprint, call.episode, trial.shape.system)
            kind = answer_class(one.answer, trial.judge)
            observation = Observation(
                float(judgement.agreed),
                answer.confidence,
                call.at,
                answer_class=kind,
                answer=answer_key(answer.message),
                groups=self._subgroups(call),
                head=answer.head,
            )
            trial.add_succession(call.model, call_input, observation, call.request)
            verdicts.append(_verdict("succession", trial, call, kind, answer, judgement, counts=False))
        return verdicts

    def _is_sampled(self, trial: Trial, call: Invocation) -> bool:
        """Return whether a call belongs to a sample of the task's calls that no student's confidence decides.

        Where no student may serve, every call does. Of the calls on which a student was asked, a sample at its audit
        rate while that is raised, for whole days, so that no hour of the day weighs more than others: of those that it
        served, the ones drawn to be audited, less those drawn at a higher rate; of those that it left to the teacher,
        as large a part. All inputs of the head that are unproven are evidence for the head of the student that was
        asked; among the calls of another student they would outweigh those of the tail.
        """
        of_other_head = call.route is not None and call.route.reason == "unproven" and call.student != trial.student
        if call.served_by == "teacher" and call.unbiased and not of_other_head:
            return True
        serving = self.trials.get(call.student or "")
        if serving is None or not serving.has_more_audits or call.route is None:
            return False
        # Once the day's budget is spent, calls on which the student is unsure get no teacher's answer.
        if self._over_budget.get(call.task) == call.at.date():
            return False
        drawn_at = 1.0
        if call.served_by == "student":
            # Over budget, calls on which it is unsure are refused: no teacher's answer balances those served.
            if call.route.reason != "promoted" or not _is_random_audit(call):
                return False
            drawn_at = call.route.audit_probability or 1.0
        elif call.route.reason not in _LEFT_TO_TEACHER:
            return False
        return position(call.id, _SAMPLE_SALT) * drawn_at < serving.promotion.audit_rate

    def _is_of_rare_class(self, trial: Trial, answered: AnsweredCall) -> bool:
        """Return whether a call that the student left to the teacher is of a class too rare for it to have learned."""
        call = answered.call
        escalated = call.route is not None and call.route.reason == "low_confidence"
        if not escalated or call.student != trial.student or not trial.withholding.closed_set:
            return False
        return trial.withholding.class_floor.is_rare(answer_class(answered.answer, trial.judge))

    def _subgroups(self, call: Invocation) -> tuple[str, ...]:
        return groups_of(self._rules.for_task(call.task).watch, call.tenant, call.tags)

    def _pop_audited(self, audit: Invocation) -> AnsweredCall | None:
        """Return the call that an audit repeats, with the teacher's answer; None if either is unknown, or no answer."""
        call = self.pending_audits.pop_audited(audit)
        if call is None or call.response is None or audit.response is None or not audit.answered_by_teacher:
            return None
        return AnsweredCall(call, audit.response.message)

    async def _judge_audit(self, audit: Invocation, call: Invocation) -> list[Event]:
        assert call.response is not None
        if call.served_by == "teacher":
            judge = self._task_judge(call.task)
            repeat = await self._verdict(audit, call, judge, "teacher", "self_agreement") if judge else None
            return [repeat] if repeat else []
        trial = self.trials.get(call.student or "")
        if trial is None or trial.changes.predates_teacher(audit.at):
            return []
        verdict = await self._verdict(audit, call, trial.judge, trial.student, "audit")
        if verdict is None:
            return []
        call_input = identify_input(call.request, call.fingerprint, call.episode, trial.shape.system)
        observation = Observation(
            float(verdict.agreed),
            call.confidence or 0.0,
            audit.at,
            answer_class=verdict.answer_class,
            answer=answer_key(call.response.message),
            groups=self._subgroups(call),
            head=input_name(call.request, trial.shape.system) if call.route and call.route.head else None,
        )
        if not trial.add_audit(call_input, observation, drawn=_is_random_audit(call)):
            return [verdict]
        if self._is_sampled(trial, call) and trial.can_use(call_input, call.at):
            served_from = _served_from(trial, call)
            trial.add_evidence(call_input, replace(observation, at=call.at, served_from=served_from), call.request)
        self._update_levels(trial, call, observation, call_input)
        return [verdict, *self._observe_teacher(trial, audit), *self._drift_alarm(trial, audit)]

    def _update_levels(self, trial: Trial, call: Invocation, observation: Observation, call_input: Input) -> None:
        """Feed an audited call to the proven levels, for the thresholds from the one that it had to reach on."""
        served_from = _served_from(trial, call)
        if call.confidence is not None and served_from is not None and observation.head is None:
            trial.add_audited_call(observation, served_from, call_input)

    def _detect_changes(self, call: Invocation) -> list[Event]:
        """Return the changes that a call reveals: of its teacher, its kind of day, or the students' confidence."""
        events: list[Event] = []
        for trial in self._trials_of(call.task):
            if call.answered_by_teacher:
                events += self._observe_teacher(trial, call)
            elif call.served_by == "student" and call.student == trial.student and trial.is_serving:
                threshold = trial.promotion.threshold or 0.0
                events += self._apply_restriction(trial, trial.changes.observe_served(call.at, threshold), call)
        return events + self._detect_coverage_shift(call)

    def _observe_teacher(self, trial: Trial, answered: Invocation) -> list[Event]:
        """Restrict a student when another model answers as its teacher; one that is proven against it goes on."""
        before = trial.changes.restriction
        restriction = trial.changes.observe_teacher(answered.model, answered.at)
        if restriction is not None:
            others = trial.changes.teachers - {answered.model}
            if trial.succeed_teacher(others, answered.at, answered.model):
                trial.changes.restriction = before
                return []
        return self._apply_restriction(trial, restriction, answered)

    def apply_retirements(self, now: datetime) -> list[Event]:
        """Prove the students anew whose teacher was retired since the evidence on them began; see `Retirements`."""
        return self._retirements.apply(self.trials.values(), now)

    def _apply_restriction(self, trial: Trial, restriction: CanaryRestriction | None, call: Invocation) -> list[Event]:
        """Report that a student must be proven again; one that nothing was announced of just restarts its proof."""
        was_announced = trial.is_serving or trial.is_announced
        if not trial.apply_restriction(restriction) or restriction is None or not was_announced:
            return []
        return [
            Drift(
                id=verdict_id(restriction.cause, call.id, trial.student, call.at),
                at=trial.alarm_time(call.at),
                task=call.task,
                student=trial.student,
                tier="warn",
                drifted=False,
                cause=restriction.cause,
                confidence=0.999 if restriction.cause == "traffic" else 1.0,
                statistic=trial.confident_share.coverage_shift.share,
                audited=trial.audit_count,
            )
        ]

    def _detect_coverage_shift(self, call: Invocation) -> list[Event]:
        """Warn if a serving student's confident share of calls differs from the proven one.

        Once a budget is spent, only calls that reach the threshold are answered at all, so those are not informative.
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
        """Return the judge of the task's latest trial, else the one for the teacher's answers."""
        judges = [trial.judge for trial in self._trials_of(task)]
        return judges[-1] if judges else self._teacher_answers.choose_judge(task)

    async def _verdict(
        self, audit: Invocation, call: Invocation, judge: Judge, student: str, phase: Phase
    ) -> Verdict | None:
        """Return the verdict on an audited call; None if its judge gives none."""
        assert audit.response is not None
        assert call.response is not None
        pair = AnswerPair(audit.response.message, call.response.message)
        asked = for_audits(judge) if phase == "audit" else judge
        [judgement] = await judge_pairs(asked, [pair], self._judge_wait_s)
        if judgement is None:
            return None
        return Verdict(
            id=verdict_id(phase, audit.id, student, audit.at),
            at=audit.at,
            task=audit.task,
            invocation=call.id,
            student=student,
            phase=phase,
            agreed=judgement.agreed,
            score=judgement.score,
            judge=judge.name,
            why=judgement.why,
            confidence=call.confidence,
            fingerprint=call.fingerprint,
            answer_class=answer_class(audit.response.message, judge),
            judge_cost_usd=judgement.cost_usd,
            student_answer=shown_answer(judge, judgement, call.response.message),
            student_class=None if judgement.agreed else answer_class(call.response.message, judge),
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
                at=trial.alarm_time(audit.at),
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


def _served_from(trial: Trial, call: Invocation) -> float | None:
    """Return the threshold that a served call had to reach."""
    served_from = call.route.threshold if call.route else None
    return trial.promotion.threshold if served_from is None else served_from


def _is_random_audit(call: Invocation) -> bool:
    """Return whether a call was randomly sampled for its audit, not only as the first of its answer on a day."""
    return call.route is None or not call.route.spot_check or bool(call.route.drawn)


def shown_answer(judge: Judge, judgement: Judgement, answer: Message) -> str | None:
    """Return a student's answer for people to see: where it disagrees, or the judge errs and they measure it."""
    return answer_text(answer) if not judgement.agreed or human_marks(judge) is not None else None


def _verdict(
    phase: Literal["shadow", "succession"],
    trial: Trial,
    call: Invocation,
    kind: str | None,
    answer: Answer,
    judgement: Judgement,
    *,
    counts: bool,
) -> Verdict:
    """Return the verdict on a student's answer to a call; `kind` is the class of the answer beside it."""
    return Verdict(
        id=verdict_id(phase, call.id, trial.student, call.at),
        at=call.at,
        task=call.task,
        invocation=call.id,
        student=trial.student,
        phase=phase,
        agreed=judgement.agreed,
        score=judgement.score,
        judge=trial.judge.name,
        why=judgement.why,
        confidence=answer.confidence,
        fingerprint=call.fingerprint,
        answer_class=kind,
        judge_cost_usd=judgement.cost_usd,
        student_answer=shown_answer(trial.judge, judgement, answer.message),
        student_class=None if judgement.agreed else answer_class(answer.message, trial.judge),
        counts=counts,
    )


def verdict_id(kind: str, invocation: str, student: str, at: datetime) -> str:
    """Return an id derived from what was judged.

    Judging a call again, as after a crash, gives the same event again.
    """
    return SeededIds(f"{kind}:{invocation}:{student}")(at)
