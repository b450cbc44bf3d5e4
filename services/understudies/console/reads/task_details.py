"""Put together what a task's page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from understudies.backtest.report.report import ChosenThreshold, CoveragePoint, DailyFigures, DecisionEntry
from understudies.backtest.report.risk_coverage import coverage_curve
from understudies.budget.ledger import Ledger
from understudies.console.reads.activity import DayActivity, fetch_days, mean_teacher_price
from understudies.console.reads.agreement import (
    Confusion,
    DayAgreement,
    fetch_agreement,
    fetch_confusion,
    find_thresholds,
)
from understudies.console.reads.students import DriftAlarm, fetch_drift, fetch_last_evidence, fetch_promotions
from understudies.console.source import ConsoleSource
from understudies.events import Promotion, usd
from understudies.runtime.store import Store
from understudies.status.standing import TaskStanding, TaskStory

MAX_DAYS: Final = 366
"""Days that the charts show, the last ones."""


@dataclass(frozen=True, slots=True)
class GatePoint:
    """The evidence of a student's gates for serving the surest `coverage` of the calls, as e-values."""

    coverage: float
    inputs: float
    calls: float
    needed: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class TaskDetails:
    """A task's standing and story, and what its charts show; a tenant is shown its own calls alone."""

    story: TaskStory
    days: Sequence[DailyFigures] = ()
    events: Sequence[DecisionEntry] = ()
    curve: Sequence[CoveragePoint] = ()
    chosen: ChosenThreshold | None = None
    gate: Sequence[GatePoint] = ()
    confusion: Confusion | None = None
    ledger: Ledger | None = None
    students: Sequence[str] = ()
    tenant: str | None = None

    @property
    def standing(self) -> TaskStanding:
        """The task's standing."""
        return self.story.standing


async def read_task(source: ConsoleSource, task: str) -> TaskDetails | None:
    """Return what the page of a task shows; None if there is no such task."""
    story = await source.standings.story(task, source.clock.now())
    if story is None:
        return None
    store, student = source.store, story.standing.student
    promotions = await fetch_promotions(store, task)
    evidence = await _read_evidence(source, task, student)
    price = story.standing.teacher_price
    return TaskDetails(
        story=story,
        days=await _read_days(store, task, promotions, price.usd if price else None),
        events=to_entries(task, promotions, await fetch_drift(store, task)),
        curve=coverage_curve(evidence),
        chosen=_find_chosen(student, promotions, evidence),
        gate=_read_gate(evidence),
        confusion=await _read_confusion(store, task, student, promotions) if student else None,
        ledger=source.standings.ledger(task),
        students=list(dict.fromkeys(event.student for event in promotions if event.steering is None)),
    )


async def read_tenant_task(source: ConsoleSource, standing: TaskStanding, tenant: str) -> TaskDetails:
    """Return what a tenant may see of a task that others call too: the figures of its own calls."""
    promotions = await fetch_promotions(source.store, standing.task)
    days = await _read_days(source.store, standing.task, promotions, None, tenant)
    alarms = await fetch_drift(source.store, standing.task)
    entries = [replace(entry, reason="", evidence={}) for entry in to_entries(standing.task, promotions, alarms)]
    return TaskDetails(TaskStory(standing=standing), days, entries, tenant=tenant)


async def _read_confusion(store: Store, task: str, student: str, promotions: Sequence[Promotion]) -> Confusion:
    return await fetch_confusion(store, task, student, find_thresholds(promotions).get(student, 0.0))


async def _read_days(
    store: Store, task: str, promotions: Sequence[Promotion], price: Decimal | None, tenant: str | None = None
) -> list[DailyFigures]:
    activity = (await fetch_days(store, task, tenant))[-MAX_DAYS:]
    agreement = await fetch_agreement(store, task, promotions, [day.at for day in activity], tenant)
    price = mean_teacher_price(activity) if price is None else price
    trainings = _training_costs(promotions) if tenant is None else []
    return [
        _to_figures(day, agreement.get(day.at), price, _costs_between(trainings, activity, index))
        for index, day in enumerate(activity)
    ]


def _training_costs(promotions: Sequence[Promotion]) -> list[tuple[datetime, Decimal]]:
    return [
        (event.at, usd(str(event.evidence["cost_usd"])))
        for event in promotions
        if event.stage in ("trained", "rejected") and "cost_usd" in event.evidence
    ]


def _costs_between(trainings: Sequence[tuple[datetime, Decimal]], days: Sequence[DayActivity], index: int) -> Decimal:
    """Return the cost of the trainings since a day began, until the next day with calls; before the first, with it."""
    since = days[index].at if index else None
    until = days[index + 1].at if index + 1 < len(days) else None
    return sum(
        (cost for at, cost in trainings if (since is None or at >= since) and (until is None or at < until)),
        Decimal(0),
    )


def _to_figures(day: DayActivity, agreement: DayAgreement | None, price: Decimal, training: Decimal) -> DailyFigures:
    return DailyFigures(
        at=day.at,
        calls=day.calls,
        served=day.served,
        agreed_served=0,
        audited=day.audited,
        agreement=agreement.share if agreement else None,
        lower=agreement.lower if agreement else None,
        upper=agreement.upper if agreement else None,
        cost_before=day.cost_without_students(price),
        cost_after=usd(day.cost_with_students(price) + training),
        day_agreement=agreement.day_share if agreement else None,
        student=agreement.student if agreement else None,
    )


def to_entries(task: str, promotions: Sequence[Promotion], alarms: Sequence[DriftAlarm]) -> list[DecisionEntry]:
    """Return what the charts draw as rules: stages of students, and alarms."""
    stages = [
        DecisionEntry(event.at, task, event.stage, event.student, event.reason)
        for event in promotions
        if event.steering is None
    ]
    drifts = [
        DecisionEntry(
            alarm.at,
            task,
            "drift_contract" if alarm.tier == "contract" else "drift_warn",
            alarm.student,
            "",
            {"agreement_before": alarm.agreement_before, "agreement_after": alarm.agreement_after},
        )
        for alarm in alarms
        if alarm.drifted
    ]
    return sorted([*stages, *drifts], key=lambda entry: entry.at)


async def _read_evidence(source: ConsoleSource, task: str, student: str | None) -> Mapping[str, Any]:
    """Return what the gates know now, else what they knew at their last decision."""
    if student is None:
        return {}
    return source.standings.gate_evidence(student) or await fetch_last_evidence(source.store, task, student)


def _find_chosen(
    student: str | None, promotions: Sequence[Promotion], evidence: Mapping[str, Any]
) -> ChosenThreshold | None:
    """Return the threshold from which a student serves, and the share of calls that reach it."""
    threshold = find_thresholds(promotions).get(student or "", 0.0)
    point = next((point for point in evidence.get("curve", ()) if point["threshold"] == threshold), None)
    return ChosenThreshold(threshold, point["coverage"]) if point else None


def _read_gate(evidence: Mapping[str, Any]) -> list[GatePoint]:
    return [
        GatePoint(point["coverage"], point["e_value"], point["forward_e_value"], point.get("needed"), point["passed"])
        for point in evidence.get("curve", ())
    ]
