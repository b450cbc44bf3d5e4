"""Near copies within a day: the teacher confirms what a student says to them before they are served freely."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from typing import Final

from understudies.events import Message, Request
from understudies.router.attempt import Attempt
from understudies.router.probation import same_answer
from understudies.students.base import request_text
from understudies.students.copies import CopyGroups, copy_words

_FREE: Final = 2
"""Calls of a group that are served on a day before the teacher has confirmed any."""
_CONFIRMED: Final = 2
"""Answers of the teacher that agree, after which a group is served for the rest of the day."""
_OUTWEIGHED: Final = 20
"""Answers that have to agree for each that did not: no more than one in twenty may."""
_MOST_TASKS: Final = 500
_MOST_GROUPS: Final = 20_000


@dataclass(slots=True)
class _Group:
    """What became of a group today."""

    calls: int = 0
    agreed: int = 0
    disagreed: int = 0

    @property
    def may_be_served(self) -> bool:
        if self.disagreed:
            return self.agreed >= _CONFIRMED + _OUTWEIGHED * self.disagreed
        return self.calls <= _FREE or self.agreed >= _CONFIRMED


class Repeats:
    """Watches for texts that come again and again within a day, as in an incident.

    What is proven of calls like those that came says nothing of a thousand near copies of a text that never came: a
    student that is wrong on the first is wrong on all, long before audits drawn by lot have met enough of them. So the
    third near copy of a day, and those after it, go to the teacher until two of its answers agreed with the student's,
    and twenty more for each that did not.
    """

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, _Day] = OrderedDict()

    def may_serve(self, task: str, student: str, request: Request, day: date) -> bool:
        """Count a call that a student is about to serve; whether it may."""
        group = self._of(task, student, day).group(request)
        group.calls += 1
        return group.may_be_served

    def told(self, task: str, day: date, request: Request, attempt: Attempt, answer: Message) -> None:
        """Note what the teacher answered where a student's answer waited for it."""
        if attempt.answer is None or attempt.student is None:
            return
        group = self._of(task, attempt.student, day).group(request)
        route = attempt.decision.route
        if same_answer(route.judge if route else None, answer, attempt.answer.message):
            group.agreed += 1
        else:
            group.disagreed += 1

    def _of(self, task: str, student: str, day: date) -> "_Day":
        known = self._tasks.get(task)
        if known is None or (known.student, known.day) != (student, day):
            known = self._tasks[task] = _Day(student, day)
        self._tasks.move_to_end(task)
        if len(self._tasks) > _MOST_TASKS:
            self._tasks.popitem(last=False)
        return known


class _Day:
    """The groups of one task's student on one day; once there are too many, the oldest are forgotten."""

    def __init__(self, student: str, day: date) -> None:
        self.student = student
        self.day = day
        self._copies = CopyGroups()
        self._groups: OrderedDict[str, _Group] = OrderedDict()

    def group(self, request: Request) -> _Group:
        name = self._copies.place(copy_words(request_text(request) or request.system))
        if name not in self._groups:
            self._groups[name] = _Group()
            if len(self._groups) > _MOST_GROUPS:
                self._copies.forget(self._groups.popitem(last=False)[0])
        return self._groups[name]
