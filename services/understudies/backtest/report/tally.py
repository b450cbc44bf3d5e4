"""Tally what became of all calls in one pass over them: figures, days, break-even and answers of students."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from understudies.backtest.replay.event_collector import PlayedCall
from understudies.backtest.replay.schedule import ScheduledCall
from understudies.backtest.report.break_even import BreakEvenCounter, DueCosts
from understudies.backtest.report.figures import FiguresAccumulator, FiguresSummary
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.events import Promotion, usd

DAY: Final = timedelta(days=1)
_INPUT_DIGITS: Final = 24
"""Digits of a fingerprint that tell a log's inputs apart: two of a billion share them with a chance of 1e-11."""


@dataclass(slots=True)
class DayTally:
    """Counts and costs of a task's calls of one day; `at` is its midnight."""

    at: datetime
    calls: int = 0
    served: int = 0
    agreed_served: int = 0
    audited: int = 0
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class TaskTally:
    """What became of a task's calls; `served` counts the judged ones by the student that served them, and agreement."""

    summary: FiguresSummary
    days: Sequence[DayTally]
    break_even_calls: int | None
    served: Counter[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class CallTally:
    """What became of all calls, and of those of each task."""

    overall: FiguresSummary
    tasks: dict[str, TaskTally]


def tally_calls(outcomes: CallOutcomes) -> CallTally:
    """Tally all calls in the order in which they were played."""
    invocations = outcomes.collector.invocations
    played = Counter(call.task for call in outcomes.calls if call.id in invocations)
    promotions = outcomes.promotions()
    overall = _FiguresCounter(played.total(), promotions)
    tasks: dict[str, _TaskCounter] = {}
    for call in outcomes.calls:
        task = tasks.get(call.task)
        if task is None:
            own = [event for event in promotions if event.task == call.task]
            task = tasks[call.task] = _TaskCounter(played[call.task], own)
        overall.charge_trainings(call.at)
        task.charge_trainings(call.at)
        shadow_cost = outcomes.shadow_cost(call)
        event = invocations.get(call.id)
        if event is None:
            task.add_unplayed(call, shadow_cost)
            continue
        agreed = outcomes.check_agreement(call, event)
        fate = _Fate(call, event, agreed, outcomes.total_cost(call, event, shadow_cost), shadow_cost)
        overall.add(fate)
        task.add(fate, audited=call.id in outcomes.collector.audit_costs)
    return CallTally(overall.summarise(), {name: task.finish() for name, task in tasks.items()})


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of a played call; `agreed` is None if no student served it, or it is not known."""

    call: ScheduledCall
    event: PlayedCall
    agreed: bool | None
    cost: Decimal
    shadow_cost: Decimal

    @property
    def served(self) -> bool:
        """Return whether a student served the call."""
        return self.event.served_by == "student"


class _FiguresCounter:
    """Count figures with the costs of trainings, each charged where it falls."""

    def __init__(self, calls: int, promotions: Sequence[Promotion]) -> None:
        self._figures = FiguresAccumulator(calls)
        self._trainings = DueCosts(_training_costs(promotions))

    def charge_trainings(self, now: datetime | None = None) -> None:
        for cost in self._trainings.take(now):
            self._figures.add_cost(cost)

    def add(self, fate: _Fate) -> None:
        # Only of a judged call the input is looked at.
        input_ = "" if fate.agreed is None else fate.call.call.fingerprint[:_INPUT_DIGITS]
        self._figures.add(fate.call.price, fate.cost, fate.served, fate.agreed, input_)

    def summarise(self) -> FiguresSummary:
        self.charge_trainings()
        return self._figures.summarise()


class _TaskCounter:
    """Count the calls of one task, whose students' stages are the promotions."""

    def __init__(self, calls: int, promotions: Sequence[Promotion]) -> None:
        authorised = next((event.at for event in promotions if event.stage == "authorised"), None)
        self._figures = _FiguresCounter(calls, promotions)
        self._break_even = BreakEvenCounter(authorised, DueCosts(_training_costs(promotions)))
        self._days: list[DayTally] = []
        self._served: Counter[tuple[str, bool]] = Counter()

    def charge_trainings(self, now: datetime) -> None:
        self._figures.charge_trainings(now)

    def add_unplayed(self, call: ScheduledCall, shadow_cost: Decimal) -> None:
        self._day_of(call.at)
        self._break_even.add(call.at, Decimal(0), shadow_cost)

    def add(self, fate: _Fate, *, audited: bool) -> None:
        call, event = fate.call, fate.event
        self._figures.add(fate)
        self._break_even.add(call.at, call.price - fate.cost, fate.shadow_cost)
        day = self._day_of(call.at)
        day.calls += 1
        day.served += fate.served
        day.agreed_served += fate.agreed is True
        day.audited += audited
        day.cost_before += call.price
        day.cost_after += fate.cost
        if fate.agreed is not None:
            self._served[event.student or "", fate.agreed] += 1

    def finish(self) -> TaskTally:
        return TaskTally(self._figures.summarise(), self._days, self._break_even.earned_after, self._served)

    def _day_of(self, at: datetime) -> DayTally:
        """Return the day of a call, after the days without calls since the one before."""
        days = self._days
        if not days:
            days.append(DayTally(datetime.combine(at.date(), time(), at.tzinfo)))
        while at >= days[-1].at + DAY:
            days.append(DayTally(days[-1].at + DAY))
        return days[-1]


def _training_costs(promotions: Sequence[Promotion]) -> list[tuple[datetime, Decimal]]:
    return [
        (event.at, usd(str(event.evidence.get("cost_usd", "0"))))
        for event in promotions
        if event.stage in ("trained", "rejected") and "cost_usd" in event.evidence
    ]
