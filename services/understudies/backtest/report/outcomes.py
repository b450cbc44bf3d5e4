"""Compute the figures of the report from the played calls and the collected events."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from understudies.backtest.replay.event_collector import CallMap, EventCollector, ObservedVerdict, PlayedCall
from understudies.backtest.replay.schedule import Schedule, ScheduledCall
from understudies.backtest.report.figures import FiguresAccumulator
from understudies.backtest.report.leading import find_leading
from understudies.backtest.report.report import DailyFigures
from understudies.events import Message, Promotion, usd
from understudies.importers.recorded_call import RecordedCall
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.runtime.lazy_sequence import LazySequence
from understudies.runtime.rules.rules import Rules
from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_upper

_INPUT_DIGITS: Final = 24
"""Digits of a fingerprint that tell a log's inputs apart: two of a billion share them with a chance of 1e-11."""


def select_judges(calls: Sequence[ScheduledCall], rules: Rules) -> dict[str, Judge]:
    """Return for each task the judge of its rules, else one chosen by its recorded answers.

    It is for tasks of which no student is judged.
    """
    return {task: _select_judge(rules.for_task(task).judge, recorded) for task, recorded in _by_task(calls).items()}


def _by_task(calls: Sequence[ScheduledCall]) -> dict[str, Sequence[RecordedCall]]:
    if isinstance(calls, Schedule):
        return {task: calls.recorded(task) for task in calls.tasks}
    by_task: dict[str, list[RecordedCall]] = {}
    for call in calls:
        by_task.setdefault(call.task, []).append(call.call)
    return {**by_task}


def _select_judge(judge_name: str | None, recorded: Sequence[RecordedCall]) -> Judge:
    return parse_judge(judge_name) if judge_name else choose_judge(_Answers(recorded))


class _Answers(LazySequence[Message]):
    """The teacher's answers to calls, read from each when they are looked at."""

    def __init__(self, recorded: Sequence[RecordedCall]) -> None:
        self._recorded = recorded

    def __len__(self) -> int:
        return len(self._recorded)

    def _make(self, place: int) -> Message:
        return self._recorded[place].response.message


@dataclass(frozen=True, slots=True)
class CallOutcomes:
    """The outcomes of the calls, in the order in which they were played."""

    calls: Sequence[ScheduledCall]
    collector: EventCollector
    judges: dict[str, Judge]
    student_price: Decimal = Decimal(0)
    _agreed: CallMap[bool] = field(default_factory=CallMap)

    def check_agreement(self, call: ScheduledCall, event: PlayedCall) -> bool | None:
        """Return whether the student that served the call agrees with the recorded answer.

        None if no student did, or the judge gives no verdict.
        """
        if event.served_by != "student" or event.answer is None:
            return None
        agreed = self._agreed.get(call.id)
        if agreed is None:
            judge = self.judge_for(call.task, event.student)
            try:
                agreed = self._agreed[call.id] = judge.judge(call.call.response.message, event.answer).agreed
            except JudgeUnavailableError:
                return None
        return agreed

    def iter_task(self, task: str) -> Iterator[ScheduledCall]:
        """Yield the calls of a task."""
        if isinstance(self.calls, Schedule):
            return self.calls.iter_task(task)
        return (call for call in self.calls if call.task == task)

    def served_answers(self, task: str) -> list[tuple[str, bool]]:
        """Return for each call of the task that a student served the student, and whether the teacher agrees."""
        played = ((call, self.collector.invocations.get(call.id)) for call in self.iter_task(task))
        return [
            (event.student or "", self.check_agreement(call, event) is True)
            for call, event in played
            if event is not None and event.served_by == "student" and event.answer is not None
        ]

    def judge_for(self, task: str, student: str | None) -> Judge:
        """Return the judge that the student was trained and tried with, or the task's if there was none."""
        name = self.collector.student_judges.get(student or "")
        return parse_judge(name) if name else self.judges[task]

    def total_cost(self, call: ScheduledCall, event: PlayedCall) -> Decimal:
        """Return the total cost of the call, including its audit and the students' shadow answers."""
        return usd(event.cost_usd + self.collector.audit_costs.get(call.id, Decimal(0)) + self._shadow_cost(call.id))

    def _shadow_cost(self, call: str) -> Decimal:
        """Return the cost of students' shadow answers, each at its own price if that is known."""
        students = self.collector.shadow_students.get(call, ())
        return sum((self.collector.student_prices.get(student, self.student_price) for student in students), Decimal(0))

    def compute_figures(self, task: str | None = None) -> FiguresAccumulator:
        """Compute the figures of all calls, or of one task."""
        figures = FiguresAccumulator()
        trainings = self._training_costs(task)
        for call in self.calls if task is None else self.iter_task(task):
            while trainings and trainings[0][0] <= call.at:
                figures.add_cost(trainings.pop(0)[1])
            event = self.collector.invocations.get(call.id)
            if event is not None:
                agreed = self.check_agreement(call, event)
                by_student = event.served_by == "student"
                figures.add(
                    call.price, self.total_cost(call, event), by_student, agreed, call.call.fingerprint[:_INPUT_DIGITS]
                )
        for _, cost in trainings:
            figures.add_cost(cost)
        return figures

    def _training_costs(self, task: str | None) -> list[tuple[datetime, Decimal]]:
        return [
            (event.at, usd(str(event.evidence.get("cost_usd", "0"))))
            for event in self.collector.lifecycle_events
            if isinstance(event, Promotion)
            and event.stage in ("trained", "rejected")
            and "cost_usd" in event.evidence
            and task in (None, event.task)
        ]

    def count_break_even_calls(self, task: str) -> int | None:
        """Count the task's calls from its first authorisation until all costs were recovered; None if they were not."""
        promotions = [
            event for event in self.collector.lifecycle_events if isinstance(event, Promotion) and event.task == task
        ]
        authorised = next((event.at for event in promotions if event.stage == "authorised"), None)
        if authorised is None:
            return None
        trainings = self._training_costs(task)
        task_calls = list(self.iter_task(task))
        # A student is first tried on held-out calls from before its authorisation.
        balance = -sum((self._shadow_cost(call.id) for call in task_calls if call.at < authorised), Decimal(0))
        lost = balance < 0
        earned: int | None = None
        for calls, call in enumerate((call for call in task_calls if call.at >= authorised), start=1):
            while trainings and trainings[0][0] <= call.at:
                balance -= trainings.pop(0)[1]
            event = self.collector.invocations.get(call.id)
            balance += call.price - self.total_cost(call, event) if event is not None else 0
            lost = lost or balance < 0
            earned = (earned or calls) if balance >= 0 and lost else None
        return earned

    def daily_figures(self, task: str) -> list[DailyFigures]:
        """Return the task's days, with the agreement that the services knew at the end of each."""
        task_calls = list(self.iter_task(task))
        if not task_calls:
            return []
        day = datetime.combine(task_calls[0].at.date(), time(), task_calls[0].at.tzinfo)
        days: list[DailyFigures] = []
        first = 0
        while day <= task_calls[-1].at:
            until = day + timedelta(days=1)
            end = bisect_left(task_calls, until, first, key=lambda call: call.at)
            days.append(self._figures_of_day(task, day, until, task_calls[first:end]))
            day, first = until, end
        return days

    def _figures_of_day(
        self, task: str, day: datetime, until: datetime, calls: Sequence[ScheduledCall]
    ) -> DailyFigures:
        played = [
            (call, self.collector.invocations[call.id]) for call in calls if call.id in self.collector.invocations
        ]
        student = self._find_leading(task, day, until)
        known = [] if student is None else self._verdicts_known_by(student, until)
        agree, n = _count_agreed(known)
        of_day = [verdict for verdict in known if verdict.at >= day]
        return DailyFigures(
            at=day,
            calls=len(played),
            served=sum(event.served_by == "student" for _, event in played),
            agreed_served=sum(self.check_agreement(call, event) is True for call, event in played),
            audited=sum(call.id in self.collector.audit_costs for call, _ in played),
            agreement=agree / n if n else None,
            lower=anytime_lower_bound(agree, n) if n else None,
            upper=clopper_pearson_upper(agree, n) if n else None,
            cost_before=usd(sum((call.price for call, _ in played), Decimal(0))),
            cost_after=usd(sum((self.total_cost(call, event) for call, event in played), Decimal(0))),
            day_agreement=sum(verdict.agreed for verdict in of_day) / len(of_day) if of_day else None,
            student=student if n else None,
        )

    def _find_leading(self, task: str, since: datetime, until: datetime) -> str | None:
        promotions = [event for event in self.promotions() if event.task == task]
        return find_leading(promotions, since, until)

    def promotions(self) -> list[Promotion]:
        """Return the stages of all students, in order of arrival."""
        return [event for event in self.collector.lifecycle_events if isinstance(event, Promotion)]

    def _verdicts_known_by(self, student: str, until: datetime) -> list[ObservedVerdict]:
        """Return the verdicts on a student known then, at or above the confidence from which it serves."""
        promoted = [e for e in self.promotions() if e.student == student and e.at <= until and e.stage == "promoted"]
        threshold = promoted[-1].threshold if promoted else None
        threshold = self._eventual_threshold(student) if threshold is None else threshold
        verdicts = self.collector.verdicts[student]
        return [verdict for verdict in verdicts if verdict.at < until and verdict.confidence >= threshold]

    def _eventual_threshold(self, student: str) -> float:
        return next((e.threshold for e in self.promotions() if e.student == student and e.threshold is not None), 0.0)


def _count_agreed(verdicts: Sequence[ObservedVerdict]) -> tuple[int, int]:
    return sum(verdict.agreed for verdict in verdicts), len(verdicts)
