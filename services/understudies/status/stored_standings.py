"""Read the standing of every task from the store alone, where budget and evaluator run in other processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from understudies.budget.ledger import Ledger
from understudies.events import Promotion
from understudies.observer.queries import fetch_latest_promotions
from understudies.observer.totals import refresh_totals
from understudies.observer.totals.verdicts import STUDENT_THRESHOLDS
from understudies.runtime.rules.rules import TaskRulesLookup
from understudies.runtime.store import Store
from understudies.stats.bounds import anytime_lower_bound
from understudies.status.price_sources import PriceSources
from understudies.status.queries import fetch_calls_since, fetch_last_decisions, fetch_story, start_of_day
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
from understudies.status.task_totals import TaskTotals, fetch_task_totals

_AUDITS: Final = f"""
SELECT student, sum(totals.agreed) AS agreed, sum(totals.counted) AS compared
FROM verdict_days AS totals FINAL
WHERE phase = 'audit' AND NOT spot_check AND (task, student, threshold) IN ({STUDENT_THRESHOLDS}) {{of_task}}
GROUP BY student
"""
_ON_TRIAL: Final = ("authorised", "collected", "trained", "qualified")
_WAITS: Final[Mapping[Phase, str]] = {
    "recording": "enough examples, and the budget's decision",
    "trial": "the proof of its student",
    "serving": "the next decision of the budget",
    "drifted": "another student, which is learned from newer answers",
    "critical": "nothing: it is declared critical and stays with the teacher",
}


@dataclass(frozen=True, slots=True)
class StoredStandings:
    """Reader of the standings from the store; what only budget and evaluator know is left out."""

    store: Store
    rules: TaskRulesLookup
    source: str
    price_sources: PriceSources = field(default_factory=PriceSources)

    def gate_evidence(self, student: str) -> Mapping[str, Any]:
        """Return nothing: what gates know now is the evaluator's; their decisions are in the store."""
        return {}

    def ledger(self, task: str) -> Ledger | None:
        """Return None: the exact ledger is the budget's."""
        return None

    async def overview(self, now: datetime) -> Overview:
        """Return the standing of all tasks, by name."""
        return await self._overview(now)

    async def _overview(self, now: datetime, task: str | None = None) -> Overview:
        await refresh_totals(self.store)
        totals = await fetch_task_totals(self.store, task)
        today = await fetch_calls_since(self.store, start_of_day(now), task)
        last = await fetch_last_decisions(self.store, task)
        sources = await self.price_sources.look(self.store, totals, now)
        sql = _AUDITS.replace("{of_task}", "" if task is None else "AND task = {task:String}")
        audits = {row["student"]: row for row in await self.store.query(sql, {"task": task or ""})}
        students: dict[str, list[Promotion]] = {}
        for event in await fetch_latest_promotions(self.store):
            if event.steering is None and task in (None, event.task):
                students.setdefault(event.task, []).append(event)
        tasks = [
            self._standing(
                task,
                totals.get(task, TaskTotals()),
                today.get(task, CallCounts()),
                students.get(task, []),
                last.get(task),
                sources.get(task, "unknown"),
                audits,
            )
            for task in sorted({*totals, *students})
        ]
        return Overview(at=now, source=self.source, tasks=tuple(tasks))

    async def story(self, task: str, now: datetime) -> TaskStory | None:
        """Return the standing of a task and its story; None if there is no such task."""
        standing = (await self._overview(now, task)).of(task)
        if standing is None:
            return None
        return TaskStory(standing=standing, events=tuple(await fetch_story(self.store, task)))

    def _standing(
        self,
        task: str,
        totals: TaskTotals,
        today: CallCounts,
        students: Sequence[Promotion],
        last: LastDecision | None,
        price_source: str,
        audits: Mapping[str, Mapping[str, Any]],
    ) -> TaskStanding:
        rules, shown = self.rules.for_task(task), _shown_student(students)
        phase: Phase = "critical" if rules.critical else _find_phase(shown)
        price = totals.teacher_price
        serves = shown is not None and shown.stage == "promoted"
        audited = audits.get(shown.student) if shown else None
        return TaskStanding(
            task=task,
            phase=phase,
            waits_for=_WAITS.get(phase, ""),
            teacher_price=None if price is None else TeacherPrice(usd=price, source=price_source),
            student=shown.student if shown else None,
            stage=shown.stage if shown else None,
            agreement=None if audited is None else _to_agreement(audited),
            promised=rules.min_agreement,
            share=shown.share if shown and serves else None,
            coverage=float(str(shown.evidence.get("coverage") or 0.0)) if shown and serves else None,
            today=today,
            to_date=CallCounts(calls=totals.calls, served=totals.served),
            spent_usd=totals.spent,
            saved_usd=totals.saved,
            last_decision=last,
        )


def _shown_student(students: Sequence[Promotion]) -> Promotion | None:
    """Return the student in force, else the latest on trial, else the last one."""
    serving = next((event for event in students if event.stage == "promoted"), None)
    on_trial = next((event for event in reversed(students) if event.stage in _ON_TRIAL), None)
    return serving or on_trial or (students[-1] if students else None)


def _find_phase(shown: Promotion | None) -> Phase:
    if shown is None:
        return "recording"
    if shown.stage == "promoted":
        return "serving"
    if shown.stage in _ON_TRIAL:
        return "trial"
    return "drifted" if shown.stage == "demoted" else "recording"


def _to_agreement(row: Mapping[str, Any]) -> MeasuredAgreement:
    return MeasuredAgreement(
        agreed=row["agreed"],
        compared=row["compared"],
        lower=anytime_lower_bound(row["agreed"], row["compared"]),
        basis="audits of what it served",
    )
