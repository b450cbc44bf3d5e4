"""Decide the next stage transitions of a task's students, in order."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from understudies.budget.appraisal import appraise, count_needed_examples, describe_decision, is_cooldown_over
from understudies.budget.audit_plan import plan_more_audits
from understudies.budget.investment import estimate_investment, format_investment, student_price
from understudies.budget.ramp import next_share
from understudies.budget.settings import BudgetSettings
from understudies.budget.stage_events import MOMENT, StageEvents
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.economics.roi import saving_per_call
from understudies.events import Cause, GateDecision, NewId, Promotion, Stage
from understudies.runtime.rules.task import TaskRules

_CHANGE_REASONS: Final[Mapping[Cause, str]] = {
    "agreement": "its audits disagree",
    "traffic": "it is confident on a different share of calls than was proven",
    "teacher": "another model answers as the teacher",
    "calendar": "it has not been judged on this kind of day yet",
}
_SHARE_TOLERANCE = 0.01
"""Shares served that differ by less count as equal: candidates are five points apart, their coverages estimates."""


class StudentLifecycle:
    """Derive the next stage transitions of students from the state of their task."""

    def __init__(self, settings: BudgetSettings, new_id: NewId) -> None:
        self._settings = settings
        self._stages = StageEvents(settings, new_id)

    def transitions(self, task: TaskState, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        """Yield the transitions that are due; the caller folds each into the state before it asks for the next."""
        yield from self._say_again(task, now)
        yield from self._demote(task, now)
        yield from self._end_by_decision(task, now)
        yield from self._retire_unprofitable(task, now)
        yield from self._apply_gate_decisions(task, rules, now)
        yield from self._apply_restrictions(task, now)
        yield from self._ramp(task, rules, now)
        yield from self._authorise(task, rules, now)

    def _say_again(self, task: TaskState, now: datetime) -> Iterator[Promotion]:
        """Say the stage again of students of which a process that no longer has the task has said otherwise."""
        for student in [student for student in task.students.values() if student.contradicted_at is not None]:
            assert student.contradicted_at is not None
            # Later than what is contradicted, whatever the clocks: routers go by the time.
            at, said = max(now, student.contradicted_at + MOMENT), student.promotion
            # What a training cost is paid once.
            evidence = {name: value for name, value in said.evidence.items() if name != "cost_usd"}
            yield self._stages.stage(student, said.stage, at, f"still so: {said.reason}", evidence=evidence)

    def _demote(self, task: TaskState, now: datetime) -> Iterator[Promotion]:
        for student in [student for student in task.students.values() if student.is_serving and student.drift]:
            drift = student.drift
            assert drift is not None
            after = "unknown" if drift.agreement_after is None else f"{drift.agreement_after:.1%}"
            reason = f"drift: agreement fell to {after} after {drift.audited} audited verdicts"
            yield self._stages.stage(student, "demoted", now, reason, share=0.0, evidence=drift.model_dump(mode="json"))
            yield from self._retire_trials(task, now, f"learned from answers before the drift of {student.name}")

    def _end_by_decision(self, task: TaskState, now: datetime) -> Iterator[Promotion]:
        """Demote or retire the students that people put out of service."""
        for student in [student for student in task.students.values() if student.is_serving or student.is_on_trial]:
            decision = task.steering.ended(student.name)
            if decision is None or decision.steering is None:
                continue
            reason = f"by {describe_decision(decision)}"
            if decision.steering.action == "demote" and student.is_serving:
                yield self._stages.stage(student, "demoted", now, reason, share=0.0)
                yield from self._retire_trials(task, now, f"learned from answers before the end of {student.name}")
            else:
                yield self._stages.stage(student, "retired", now, reason, share=0.0)

    def _retire_trials(self, task: TaskState, now: datetime, reason: str) -> Iterator[Promotion]:
        for other in [other for other in task.students.values() if other.is_on_trial]:
            yield self._stages.stage(other, "retired", now, reason)

    def _retire_unprofitable(self, task: TaskState, now: datetime) -> Iterator[Promotion]:
        """Retire or reject students that cost more than they save, by their own price, known since training."""
        teacher = task.ledger.teacher_price
        if teacher is None:
            return
        for student in list(task.students.values()):
            if student.cost_per_answer is None or not (student.is_on_trial or student.is_serving):
                continue
            # Check the return once, before any evidence is paid for: later it is a sunk cost.
            untried = student.is_on_trial and student.decision is None and not student.judged
            if student.cost_per_answer < teacher and not untried:
                continue
            investment = estimate_investment(task, self._settings, now, student=student)
            if not investment.is_worthwhile:
                stage: Stage = "retired" if student.is_serving else "rejected"
                numbers = format_investment(investment)
                yield self._stages.stage(student, stage, now, investment.reason, share=0.0, evidence=numbers)

    def _apply_gate_decisions(self, task: TaskState, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        """Apply the decisions of the gates."""
        for student in list(task.students.values()):
            decision = student.decision
            if decision is None or not (student.is_on_trial or student.is_serving):
                continue
            if decision.decision != "promote":
                if student.is_on_trial:
                    yield self._stages.stage(student, "rejected", now, decision.reason, evidence=decision.evidence)
                elif decision.decision == "reject":
                    # Audits monitor its agreement; a rejection by the gate means that it can no longer be loaded.
                    yield self._stages.stage(student, "retired", now, decision.reason, share=0.0)
            elif student.is_on_trial:
                yield from self._qualify(task, student, decision, rules, now)
            elif (decision.threshold, decision.head_threshold) != (
                student.promotion.threshold,
                student.promotion.head_threshold,
            ):
                yield self._stages.promoted(task, student, now, student.promotion.share, decision.reason)
            elif (decision.levels, decision.withheld) != (student.promotion.levels, student.promotion.withheld):
                # The levels proven above the contract or the withheld answers changed: ramp and audits continue.
                coverage = decision.coverage if decision.coverage is not None else student.proven_share
                update = {
                    "evidence": {**student.promotion.evidence, "coverage": coverage},
                    "levels": decision.levels,
                    "withheld": decision.withheld,
                }
                yield self._stages.stage(student, "promoted", now, decision.reason, **update)

    def _apply_restrictions(self, task: TaskState, now: datetime) -> Iterator[Promotion]:
        """Keep a student at the canary share after a change that it is not proven on."""
        for student in list(task.students.values()):
            if not student.is_serving or student.restriction is None or student.drift is not None:
                continue
            canary = self._settings.canary[0]
            if student.is_reproven:
                if student.share_before > student.promotion.share:
                    yield self._stages.promoted(
                        task, student, now, student.share_before, f"proven again: {_decision_reason(student)}"
                    )
                student.lift_restriction()
            elif student.promotion.share > canary:
                cause = _CHANGE_REASONS[student.restriction.cause]
                yield self._stages.promoted(task, student, now, canary, f"canary again: {cause}")

    def _qualify(
        self, task: TaskState, student: StudentState, decision: GateDecision, rules: TaskRules, now: datetime
    ) -> Iterator[Promotion]:
        if student.restriction is not None:
            if not student.is_reproven:
                return
            student.lift_restriction()
        incumbent = task.serving
        proven = estimate_investment(task, self._settings, now, share=decision.coverage or 0.0, student=student)
        if task.ledger.teacher_price is not None and proven.saving <= 0:
            evidence = {**decision.evidence, **format_investment(proven)}
            yield self._stages.stage(student, "rejected", now, proven.reason, evidence=evidence)
            return
        if student.promotion.stage != "qualified":
            yield self._stages.stage(student, "qualified", now, decision.reason, evidence=decision.evidence)
        if is_held(task, student, rules):
            return
        if incumbent is None:
            approval = task.steering.approved(student.name)
            approved = f"; approved by {describe_decision(approval)}" if approval else ""
            yield self._stages.promoted(
                task, student, now, self._settings.canary[0], f"canary: {decision.reason}{approved}"
            )
        elif self._can_replace(task, student, decision.coverage or 0.0, incumbent):
            # Prefer the successor at equal coverage. The ramp guards the serving path, which is already proven, so the
            # successor takes over the whole share at once.
            better = f"serves {decision.coverage:.0%} where {incumbent.name} serves {incumbent.proven_share:.0%}"
            share = incumbent.promotion.share
            yield self._stages.stage(incumbent, "retired", now, f"succeeded by {student.name}: {better}", share=0.0)
            yield self._stages.promoted(task, student, now, share, better)

    def _can_replace(self, task: TaskState, student: StudentState, coverage: float, incumbent: StudentState) -> bool:
        """Return whether a student serves as many calls as the incumbent and saves as much."""
        as_good = max(0.0, incumbent.proven_share - _SHARE_TOLERANCE)
        teacher = task.ledger.teacher_price or Decimal(0)
        saves = saving_per_call(teacher, student_price(student, self._settings), coverage)
        return coverage >= as_good and saves >= saving_per_call(
            teacher, student_price(incumbent, self._settings), as_good
        )

    def _ramp(self, task: TaskState, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        student = task.serving
        if student is None or student.drift is not None or student.restriction is not None or task.steering.is_halted:
            return
        share = next_share(student, self._settings, rules.min_agreement, now)
        if share is not None:
            audits = f"{student.step_agreed} of {student.step_audited} audited verdicts agreed"
            yield self._stages.promoted(task, student, now, share, f"ramp to {share:.0%}: {audits} at the step before")
            return
        more = plan_more_audits(task, student, self._settings, now)
        if more != student.more_audits:
            reason = f"more audits: {more.purpose}" if more else "usual audits: more would not pay"
            yield self._stages.promoted(task, student, now, student.promotion.share, reason)

    def _authorise(self, task: TaskState, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        ended = self._end_trial(task, rules, now)
        if ended is not None:
            yield ended
        appraisal = appraise(task, rules, self._settings, now)
        if appraisal.verdict == "authorise":
            yield from self._retire_trials(task, now, f"superseded: {appraisal.reason}")
            yield self._stages.authorised(task, appraisal, now)

    def _end_trial(self, task: TaskState, rules: TaskRules, now: datetime) -> Promotion | None:
        """End a trial that more examples would improve, or that has used up its verdicts beside a serving student."""
        trial = task.candidate
        if trial is None:
            return None
        if trial.promotion.stage not in ("trained", "qualified"):
            lost = now - trial.promotion.at >= timedelta(hours=self._settings.lost_hours)
            return (
                self._stages.stage(trial, "retired", now, f"no progress since {trial.promotion.stage}")
                if lost
                else None
            )
        if trial.promotion.stage == "qualified" and is_held(task, trial, rules):
            return None
        room = 1 - (trial.expected_share or 0.0) >= self._settings.expected_gain
        due = task.examples >= count_needed_examples(task, self._settings) and is_cooldown_over(
            task, self._settings, now
        )
        # Sooner, its proof may only lack calls.
        tried = trial.judged >= self._settings.fresh_verdicts
        if room and due and tried:
            return self._stages.stage(trial, "retired", now, f"superseded: {task.examples} examples are available")
        if task.serving is not None and trial.judged >= self._settings.shadow_verdicts:
            reason = f"proved no more than {task.serving.name} in {trial.judged} verdicts"
            return self._stages.stage(trial, "rejected", now, reason)
        return None


def is_held(task: TaskState, student: StudentState, rules: TaskRules) -> bool:
    """Return whether people keep a proven student from serving: no approval yet, a pause, or a pinned predecessor."""
    if task.steering.is_halted or task.steering.ended(student.name) is not None:
        return True
    if task.serving is not None and task.serving.name == task.steering.pinned:
        return True
    return rules.promotion == "manual" and task.steering.approved(student.name) is None


def _decision_reason(student: StudentState) -> str:
    return student.decision.reason if student.decision else ""
