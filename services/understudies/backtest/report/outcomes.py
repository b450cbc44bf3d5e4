"""Look up what became of each played call: who answered, whether the teacher agrees, and what it cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from understudies.backtest.replay.event_collector import EventCollector, PlayedCall
from understudies.backtest.replay.schedule import Schedule, ScheduledCall
from understudies.events import Message, Promotion, usd
from understudies.importers.recorded_call import RecordedCall
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.runtime.lazy_sequence import LazySequence
from understudies.runtime.rules.rules import Rules


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
    _named_judges: dict[str, Judge] = field(default_factory=dict)

    @property
    def times(self) -> Sequence[datetime]:
        """The times of the calls, ascending."""
        return self.calls.times if isinstance(self.calls, Schedule) else [call.at for call in self.calls]

    def iter_task(self, task: str) -> Iterator[ScheduledCall]:
        """Yield the calls of a task."""
        if isinstance(self.calls, Schedule):
            return self.calls.iter_task(task)
        return (call for call in self.calls if call.task == task)

    def check_agreement(self, call: ScheduledCall, event: PlayedCall) -> bool | None:
        """Return whether the student that served the call agrees with the recorded answer.

        None if no student did, or the judge gives no verdict.
        """
        if event.served_by != "student" or event.answer is None:
            return None
        judge = self.judge_for(call.task, event.student)
        try:
            return judge.judge(call.call.response.message, event.answer).agreed
        except JudgeUnavailableError:
            return None

    def judge_for(self, task: str, student: str | None) -> Judge:
        """Return the judge that the student was trained and tried with, or the task's if there was none."""
        name = self.collector.student_judges.get(student or "")
        if not name:
            return self.judges[task]
        judge = self._named_judges.get(name)
        if judge is None:
            judge = self._named_judges[name] = parse_judge(name)
        return judge

    def total_cost(self, call: ScheduledCall, event: PlayedCall, shadow_cost: Decimal) -> Decimal:
        """Return the total cost of the call, including its audit and the students' shadow answers."""
        return usd(event.cost_usd + self.collector.audit_costs.get(call.id, Decimal(0)) + shadow_cost)

    def shadow_cost(self, call: ScheduledCall) -> Decimal:
        """Return the cost of students' shadow answers, each at its own price if that is known."""
        students = self.collector.shadow_students.get(call.id, ())
        return sum((self.collector.student_prices.get(student, self.student_price) for student in students), Decimal(0))

    def promotions(self) -> list[Promotion]:
        """Return the stages of all students, in order of arrival."""
        return [event for event in self.collector.lifecycle_events if isinstance(event, Promotion)]
