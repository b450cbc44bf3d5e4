"""Audits beyond the usual draw: each answer of a student every day, and the answers that follow a wrong one."""

from collections import OrderedDict
from datetime import date, timedelta
from typing import Final

from understudies.router.call import Call
from understudies.router.decision import TaskRoute
from understudies.students.answer_key import answer_key
from understudies.students.base import Answer

_MOST: Final = 50_000
_FOLLOWING: Final = 4
"""Answers that are all audited after one that the teacher did not agree with."""
_DAILY: Final = timedelta(days=4)
"""How long an answer is checked daily, since it was first given."""


class SpotChecks:
    """Remembers on which day each answer of each student was first and last checked; the oldest are forgotten first.

    A draw by lot hardly ever meets an answer that one call in a hundred gets, so a class of calls that is always
    answered wrongly would go on for weeks. Such audits say nothing of all calls together.
    """

    def __init__(self) -> None:
        self._checked: OrderedDict[tuple[str, str], tuple[date, date]] = OrderedDict()

    def due(self, call: Call, route: TaskRoute, answer: Answer) -> bool:
        """Whether this answer of the student is to be checked; it then counts as checked today."""
        key, today = (route.student, answer_key(answer.message)), call.at.date()
        first, last = self._checked.get(key, (today, date.min))
        if today - last < timedelta(days=1 if today - first < _DAILY else 2):
            return False
        self._checked[key] = first, today
        self._checked.move_to_end(key)
        if len(self._checked) > _MOST:
            self._checked.popitem(last=False)
        return True


class FollowUps:
    """Audits all of the next answers of a student after one that the teacher did not agree with.

    The probability of an audit is then 1 instead of the usual, as in tightened inspection (ISO 2859-1, switching
    rules): it depends on what was before alone, so each such audit says of its call what a drawn one says, and a
    detector of what has changed is fed at the pace of the calls and not of the draws.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[str, int] = OrderedDict()

    def disagreed(self, student: str) -> None:
        """An audit has found an answer of this student wrong."""
        self._left[student] = _FOLLOWING
        self._left.move_to_end(student)
        if len(self._left) > _MOST:
            self._left.popitem(last=False)

    def probability(self, student: str, usual: float) -> float:
        """The probability of an audit of the next answer, which then counts as given."""
        left = self._left.get(student, 0)
        if left == 0 or usual <= 0.0:
            return usual
        if left == 1:
            del self._left[student]
        else:
            self._left[student] = left - 1
        return 1.0
