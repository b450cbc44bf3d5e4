"""What to do next about a task: the moves of its students, in order."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from understudies.budget.appraise import (
    Appraisal,
    appraise,
    audit_rate,
    examples_needed,
    invest,
    is_rested,
    numbers_of,
    price_of,
)
from understudies.budget.book import TaskBook
from understudies.budget.ramp import next_share
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_book import StudentBook
from understudies.economics import forecast, saving_per_call
from understudies.events import Cause, GateDecision, NewId, Promotion, Stage, usd_text
from understudies.runtime.rules import TaskRules

_CHANGED: Final[Mapping[Cause, str]] = {
    "agreement": "its audits disagree",
    "traffic": "it is sure of another share of the calls than it was proven on",
    "teacher": "another model answers as the teacher",
    "calendar": "it was not judged on such days yet",
}
_AS_GOOD = 0.01
"""Shares served that differ by less are the same: candidates are five points apart, their coverages estimates."""


class Decider:
    """Turns what is known of a task into the next stages of its students' stories."""

    def __init__(self, settings: BudgetSettings, new_id: NewId) -> None:
        self._settings = settings
        self._new_id = new_id

    def moves(self, book: TaskBook, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        """The moves that are due; the caller folds each into the book before asking for the next."""
        yield from self._demote(book, now)
        yield from self._drop_dear(book, now)
        yield from self._settle(book, now)
        yield from self._hold(book, now)
        yield from self._ramp(book, rules, now)
        yield from self._authorise(book, rules, now)

    def _demote(self, book: TaskBook, now: datetime) -> Iterator[Promotion]:
        for student in [student for student in book.students.values() if student.in_force and student.drift]:
            drift = student.drift
            assert drift is not None
            after = "unknown" if drift.agreement_after is None else f"{drift.agreement_after:.1%}"
            reason = f"drift: agreement fell to {after} after {drift.audited} audited verdicts"
            yield self._tell(student, "demoted", now, reason, share=0.0, evidence=drift.model_dump(mode="json"))
            for other in [other for other in book.students.values() if other.on_trial]:
                yield self._tell(other, "retired", now, f"learned from answers before the drift of {student.name}")

    def _drop_dear(self, book: TaskBook, now: datetime) -> Iterator[Promotion]:
        """Part with students whose own price, known since they were trained, eats up what they save."""
        teacher = book.ledger.teacher_price
        if teacher is None:
            return
        for student in list(book.students.values()):
            if student.cost is None or not (student.on_trial or student.in_force):
                continue
            # The return is asked for once, before any evidence is paid for: what is paid then is gone.
            untried = student.on_trial and student.decision is None and not student.judged
            if student.cost < teacher and not untried:
                continue
            investment = invest(book, self._settings, now, student=student)
            if not investment.worth_it:
                stage: Stage = "retired" if student.in_force else "rejected"
                numbers = numbers_of(investment)
                yield self._tell(student, stage, now, investment.reason, share=0.0, evidence=numbers)

    def _settle(self, book: TaskBook, now: datetime) -> Iterator[Promotion]:
        """Act on what the gates decided."""
        for student in list(book.students.values()):
            decision = student.decision
            if decision is None or not (student.on_trial or student.in_force):
                continue
            if decision.decision != "promote":
                if student.on_trial:
                    yield self._tell(student, "rejected", now, decision.reason, evidence=decision.evidence)
                elif decision.decision == "reject":
                    # Its agreement is watched by audits; the gate's word is that it cannot even be loaded to be tried.
                    yield self._tell(student, "retired", now, decision.reason, share=0.0)
            elif student.on_trial:
                yield from self._qualify(book, student, decision, now)
            elif (decision.threshold, decision.head_threshold) != (
                student.story.threshold,
                student.story.head_threshold,
            ):
                yield self._promote(book, student, now, student.story.share, decision.reason)
            elif (decision.levels, decision.withheld) != (student.story.levels, student.story.withheld):
                # What is proven beyond the promise changed, or what is withheld: ramp and audits go on as they are.
                coverage = decision.coverage if decision.coverage is not None else student.proven_share
                kept = {
                    "evidence": {**student.story.evidence, "coverage": coverage},
                    "levels": decision.levels,
                    "withheld": decision.withheld,
                }
                yield self._tell(student, "promoted", now, decision.reason, **kept)

    def _hold(self, book: TaskBook, now: datetime) -> Iterator[Promotion]:
        """Keep a student at the canary share while something has changed that it is not proven on."""
        for student in list(book.students.values()):
            if not student.in_force or student.held is None or student.drift is not None:
                continue
            canary = self._settings.canary[0]
            if student.proven_again:
                if student.share_before > student.story.share:
                    yield self._promote(book, student, now, student.share_before, f"proven again: {_word(student)}")
                student.release()
            elif student.story.share > canary:
                yield self._promote(book, student, now, canary, f"canary again: {_CHANGED[student.held.cause]}")

    def _qualify(
        self, book: TaskBook, student: StudentBook, decision: GateDecision, now: datetime
    ) -> Iterator[Promotion]:
        incumbent = book.in_force
        proven = invest(book, self._settings, now, share=decision.coverage or 0.0, student=student)
        if book.ledger.teacher_price is not None and proven.saving <= 0:
            evidence = {**decision.evidence, **numbers_of(proven)}
            yield self._tell(student, "rejected", now, proven.reason, evidence=evidence)
            return
        if student.story.stage != "qualified":
            yield self._tell(student, "qualified", now, decision.reason, evidence=decision.evidence)
        if incumbent is None:
            yield self._promote(book, student, now, self._settings.canary[0], f"canary: {decision.reason}")
        elif self._succeeds(book, student, decision.coverage or 0.0, incumbent):
            # Of equals the newer has more to prove yet. The ramp guards the serving path, and that is proven: a
            # successor takes over the share at once.
            better = f"serves {decision.coverage:.0%} where {incumbent.name} serves {incumbent.proven_share:.0%}"
            share = incumbent.story.share
            yield self._tell(incumbent, "retired", now, f"succeeded by {student.name}: {better}", share=0.0)
            yield self._promote(book, student, now, share, better)

    def _succeeds(self, book: TaskBook, student: StudentBook, coverage: float, incumbent: StudentBook) -> bool:
        """Whether it serves as much as the one in force, and saves as much."""
        as_good = max(0.0, incumbent.proven_share - _AS_GOOD)
        teacher = book.ledger.teacher_price or Decimal(0)
        saves = saving_per_call(teacher, price_of(student, self._settings), coverage)
        return coverage >= as_good and saves >= saving_per_call(teacher, price_of(incumbent, self._settings), as_good)

    def _ramp(self, book: TaskBook, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        student = book.in_force
        if student is None or student.drift is not None or student.held is not None:
            return
        challenger = book.on_trial
        most = 1.0
        if challenger is not None and challenger.story.stage in ("trained", "qualified"):
            most = 1 - self._settings.control_share
            if student.story.share > most:
                yield self._promote(book, student, now, most, f"control group while {challenger.name} is on trial")
                return
        since = book.reduced_since
        share = next_share(student, self._settings, rules.min_agreement, now, most=most, reduced_since=since)
        if share is not None:
            audits = f"{student.step_agreed} of {student.step_audited} audited verdicts agreed"
            yield self._promote(book, student, now, share, f"ramp to {share:.0%}: {audits} at the step before")

    def _authorise(self, book: TaskBook, rules: TaskRules, now: datetime) -> Iterator[Promotion]:
        over = self._give_up(book, now)
        if over is not None:
            yield over
        appraisal = appraise(book, rules, self._settings, now)
        if appraisal.verdict == "authorise":
            yield self._authorised(book, appraisal, now)

    def _give_up(self, book: TaskBook, now: datetime) -> Promotion | None:
        """End a trial that more examples would better, or that a student in force has paid enough for."""
        trial = book.on_trial
        if trial is None:
            return None
        if trial.story.stage not in ("trained", "qualified"):
            lost = now - trial.story.at >= timedelta(hours=self._settings.lost_hours)
            return self._tell(trial, "retired", now, f"nothing was heard since {trial.story.stage}") if lost else None
        room = 1 - (trial.expected_share or 0.0) >= self._settings.expected_gain
        due = book.examples >= examples_needed(book, self._settings) and is_rested(book, self._settings, now)
        if room and due:
            return self._tell(trial, "retired", now, f"superseded: {book.examples} examples are there")
        if book.in_force is not None and trial.judged >= self._settings.shadow_verdicts:
            reason = f"proved no more than {book.in_force.name} in {trial.judged} verdicts"
            return self._tell(trial, "rejected", now, reason)
        return None

    def _authorised(self, book: TaskBook, appraisal: Appraisal, now: datetime) -> Promotion:
        evidence: dict[str, Any] = {
            **appraisal.numbers,
            "examples": book.examples,
            "needed": appraisal.needed,
            "profile": {"kind": book.profile.kind, "reason": book.profile.reason},
        }
        if book.fresh_since is not None:
            evidence["since"] = book.fresh_since.isoformat()
        return Promotion(
            id=self._new_id(now),
            at=now,
            task=book.task,
            student=book.next_student,
            stage="authorised",
            reason=appraisal.reason,
            evidence=evidence,
        )

    def _promote(self, book: TaskBook, student: StudentBook, now: datetime, share: float, reason: str) -> Promotion:
        decision = student.decision
        story = student.story
        served: dict[str, Any] = {
            "threshold": story.threshold,
            "head_threshold": story.head_threshold,
            "levels": story.levels,
            "withheld": story.withheld,
            "judge": story.judge,
        }
        coverage = student.proven_share
        if decision is not None:
            served = {name: getattr(decision, name) for name in served}
            coverage = decision.coverage or 0.0
        daily = forecast(book.volume.hourly(now)).calls / 7
        return self._tell(
            student,
            "promoted",
            now,
            reason,
            share=share,
            spot_checks=book.profile.kind == "closed_set",
            **served,
            audit_rate=audit_rate(daily * coverage * share, self._settings, share),
            evidence={
                "coverage": coverage,
                "chosen": decision.evidence.get("chosen") if decision else None,
                **({} if student.validated_cost is None else {"cost_per_call_usd": usd_text(student.validated_cost)}),
            },
        )

    def _tell(self, student: StudentBook, stage: Stage, now: datetime, reason: str, **changes: Any) -> Promotion:
        fresh = {"id": self._new_id(now), "at": now, "stage": stage, "reason": reason, "evidence": {}}
        return student.story.model_copy(update={**fresh, **changes})


def _word(student: StudentBook) -> str:
    return student.decision.reason if student.decision else ""
