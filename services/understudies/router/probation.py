"""The first answers of a student in a router: compared with the teacher's before any is given."""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from understudies.events import Message
from understudies.judges import parse_judge
from understudies.router.account import InvocationBuilder
from understudies.router.attempt import StudentCaller
from understudies.router.decision import Decision, TaskRoute
from understudies.runtime import Throttle
from understudies.stats import Gate
from understudies.students.answer_key import answer_key

_MAX_STUDENTS: Final = 10_000
_MAX_CONCURRENT: Final = 50
_MAX_REJECT_E: Final = 1.0
"""The evidence against the promised agreement up to which the path that serves is taken for the one that was proven.

Of thirty comparisons two may disagree then: a path that spoils one answer in four passes with .01, at twenty and 1.5 it
did so with .09, and a student at .97 passes with .94, else a few comparisons later.
"""

_log = logging.getLogger(__name__)


class Probation:
    """Asks a student that is new here about calls that the teacher has answered, until it has said so often the same.

    What was proven in shadow is the student; what serves is another process, with another machine, network and version
    of everything. A path that spoils one answer in four is found by thirty comparisons that nobody sees, instead of by
    what callers were given. Meanwhile the teacher answers all calls, as a control group, without regard to confidence.
    """

    def __init__(self, student_caller: StudentCaller, calls: int) -> None:
        self._student_caller = student_caller
        self._calls = calls
        self._compared: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._passed: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_throttle = Throttle()

    def is_on_probation(self, student: str) -> bool:
        """Whether the student's answers are still to be compared before any is given."""
        return self._calls > 0 and student not in self._passed

    def compare_in_background(self, builder: InvocationBuilder, route: TaskRoute, answer: Message, p0: float) -> None:
        """Ask the student in the background what it would have answered, and compare."""
        if len(self._tasks) < _MAX_CONCURRENT:
            task = asyncio.get_running_loop().create_task(self._compare(builder, route, answer, p0))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def wait_idle(self) -> None:
        """Return when no student is being asked."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, account: InvocationBuilder, route: TaskRoute, answer: Message, p0: float) -> None:
        attempt = await self._student_caller.ask(account, Decision("promoted", route), route, hold_back=None)
        if attempt.answer is not None and attempt.decision.is_for_student:
            self._count(route.student, is_same_answer(route.judge, answer, attempt.answer.message), p0)

    def _count(self, student: str, agreed: bool, p0: float) -> None:
        n, good = self._compared.get(student, (0, 0))
        n, good = n + 1, good + agreed
        self._compared[student] = n, good
        while len(self._compared) > _MAX_STUDENTS:
            self._compared.popitem(last=False)
        if n < self._calls:
            return
        if Gate.from_counts(good, n, p0=p0).reject_e <= _MAX_REJECT_E:
            self._passed[student] = None
            while len(self._passed) > _MAX_STUDENTS:
                self._passed.popitem(last=False)
        elif self._log_throttle():
            _log.warning(
                "student %s serves nothing: here it agrees with the teacher on %d of %d calls, though it was proven to "
                "agree on %.0f%%; look for what differs from where it was tried",
                student,
                good,
                n,
                100 * p0,
            )


def is_same_answer(judge: str | None, teacher: Message, student: Message) -> bool:
    """Whether two answers agree by the judge of the student's trial; without one, whether they say the same."""
    if judge is None:
        return answer_key(teacher) == answer_key(student)
    return parse_judge(judge).judge(teacher, student).agreed
