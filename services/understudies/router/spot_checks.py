"""Audits beyond the draw: the first of each answer on a day."""

from collections import OrderedDict
from datetime import date
from typing import Final

from understudies.router.call import Call
from understudies.router.decision import TaskRoute
from understudies.students.answer_key import answer_key
from understudies.students.base import Answer

_MOST: Final = 50_000


class SpotChecks:
    """Remembers on which day each answer of each student was last checked; the oldest are forgotten first.

    A draw by lot hardly ever meets an answer that one call in a hundred gets, so a class of calls that is always
    answered wrongly would go on for weeks. It is checked once a day; such audits say nothing of all calls together.
    """

    def __init__(self) -> None:
        self._checked: OrderedDict[tuple[str, str], date] = OrderedDict()

    def due(self, call: Call, route: TaskRoute, answer: Answer) -> bool:
        """Whether this answer is the student's first of its kind today; it then counts as checked."""
        key, today = (route.student, answer_key(answer.message)), call.at.date()
        if self._checked.get(key) == today:
            return False
        self._checked[key] = today
        self._checked.move_to_end(key)
        if len(self._checked) > _MOST:
            self._checked.popitem(last=False)
        return True
