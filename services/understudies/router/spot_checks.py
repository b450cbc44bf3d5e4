"""Audits beyond the draw: each answer of a student every day, later every other day."""

from collections import OrderedDict
from datetime import date, timedelta
from typing import Final

from understudies.router.call import Call
from understudies.router.decision import TaskRoute
from understudies.students.answer_key import answer_key
from understudies.students.base import Answer

_MAX_ANSWERS: Final = 50_000
_DAILY_SPAN: Final = timedelta(days=4)
"""How long an answer is checked daily, since it was first given."""


class SpotCheckSchedule:
    """Remembers on which day each answer of each student was first and last checked; the oldest are forgotten first.

    A draw by lot hardly ever meets an answer that one call in a hundred gets, so a class of calls that is always
    answered wrongly would go on for weeks. Such audits say nothing of all calls together.
    """

    def __init__(self) -> None:
        self._checked: OrderedDict[tuple[str, str], tuple[date, date]] = OrderedDict()

    def take_due(self, call: Call, route: TaskRoute, answer: Answer) -> bool:
        """Whether this answer of the student is to be checked; it then counts as checked today."""
        key, today = (route.student, answer_key(answer.message)), call.at.date()
        first, last = self._checked.get(key, (today, date.min))
        if today - last < timedelta(days=1 if today - first < _DAILY_SPAN else 2):
            return False
        self._checked[key] = first, today
        self._checked.move_to_end(key)
        if len(self._checked) > _MAX_ANSWERS:
            self._checked.popitem(last=False)
        return True
