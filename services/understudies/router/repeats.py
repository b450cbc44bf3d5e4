"""Near copies: the teacher confirms what a student says to them before they are served freely."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from typing import Final

from understudies.events import Message, Request
from understudies.router.attempt import StudentAttempt
from understudies.router.probation import is_same_answer
from understudies.students.base import request_text
from understudies.students.copies import NearCopyGroups, masked_word_hashes

_UNCONFIRMED_CALLS: Final = 2
"""Calls of a group that are served on a day before the teacher has confirmed any."""
_CONFIRMATIONS: Final = 2
"""Answers of the teacher that agree, after which a group is served like any other call."""
_AGREED_PER_DISAGREED: Final = 20
"""Answers that have to agree for each that did not: no more than one in twenty may."""
_MAX_TRACKED_STUDENTS: Final = 500
_MAX_GROUPS: Final = 20_000


@dataclass(slots=True)
class _CopyGroup:
    """How often near copies of a text came on their last day, and how the teacher answered them."""

    day: date
    calls: int = 0
    agreed: int = 0
    disagreed: int = 0

    def add_call(self, day: date) -> None:
        """One more call."""
        if day != self.day:
            self.day, self.calls = day, 0
        self.calls += 1

    @property
    def can_be_served(self) -> bool:
        if self.disagreed:
            return self.agreed >= _CONFIRMATIONS + _AGREED_PER_DISAGREED * self.disagreed
        return self.calls <= _UNCONFIRMED_CALLS or self.agreed >= _CONFIRMATIONS


class NearCopyGuard:
    """Watches for texts that come again and again within a day, as in an incident.

    What is proven of calls like those that came says nothing of a thousand near copies of a text that never came: a
    student that is wrong on the first is wrong on all, long before audits drawn by lot have met enough of them. So the
    third near copy of a day, and those after it, go to the teacher until two of its answers agreed with the student's,
    and twenty more for each that did not. A text that was confirmed once stays so: that the teacher changes its mind is
    what audits find.
    """

    def __init__(self) -> None:
        self._students: OrderedDict[str, _StudentCopyGroups] = OrderedDict()

    def admit_call(self, student: str, request: Request, day: date) -> bool:
        """Count a call that a student is about to serve; whether it may."""
        group = self._groups_of(student).find(request, day)
        group.add_call(day)
        return group.can_be_served

    def record_teacher_answer(self, day: date, request: Request, attempt: StudentAttempt, answer: Message) -> None:
        """Note what the teacher answered where a student's answer waited for it."""
        if attempt.answer is None or attempt.student is None:
            return
        group = self._groups_of(attempt.student).find(request, day)
        route = attempt.decision.route
        if is_same_answer(route.judge if route else None, answer, attempt.answer.message):
            group.agreed += 1
        else:
            group.disagreed += 1

    def _groups_of(self, student: str) -> "_StudentCopyGroups":
        groups = self._students.setdefault(student, _StudentCopyGroups())
        self._students.move_to_end(student)
        if len(self._students) > _MAX_TRACKED_STUDENTS:
            self._students.popitem(last=False)
        return groups


class _StudentCopyGroups:
    """The groups of one student; those that did not come for longest are forgotten first."""

    def __init__(self) -> None:
        self._copies = NearCopyGroups()
        self._groups: OrderedDict[str, _CopyGroup] = OrderedDict()

    def find(self, request: Request, day: date) -> _CopyGroup:
        name = self._copies.assign(masked_word_hashes(request_text(request) or request.system))
        group = self._groups.setdefault(name, _CopyGroup(day))
        self._groups.move_to_end(name)
        if len(self._groups) > _MAX_GROUPS:
            self._copies.remove(self._groups.popitem(last=False)[0])
        return group
