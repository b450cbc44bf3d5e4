"""Compare a student's first answers, and those to near copies, with the teacher's before they are served freely."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Final

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.events import Message, Request
from understudies.judges.answer_key import answer_key
from understudies.judges.fallible import agree_at_once
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision, TaskRoute
from understudies.router.serving.student_attempt import StudentAttempt, StudentCaller
from understudies.runtime.throttle import Throttle
from understudies.stats.gate import Gate
from understudies.students.base import request_text

_MAX_STUDENTS: Final = 10_000
_MAX_CONCURRENT: Final = 50
_MAX_REJECT_E: Final = 1.0
"""Maximum evidence against the promised agreement at which the serving path is accepted as the one that was proven.

Two of thirty comparisons may then disagree: a path that spoils one answer in four passes with probability .01 (with
twenty comparisons and a maximum of 1.5 it was .09), and a student at .97 passes with .94, otherwise a few comparisons
later.
"""

_log = logging.getLogger(__name__)


class Probation:
    """Ask a student that is new here about calls that the teacher has answered, until the two agree often enough.

    The student was proven in shadow, but is served by another process, on another machine, with another network and
    other versions of everything. Thirty comparisons, whose answers no caller sees, detect a path that spoils one answer
    in four before it serves any. Meanwhile the teacher answers all calls, as a control group, regardless of confidence.
    """

    def __init__(self, student_caller: StudentCaller, calls: int) -> None:
        self._student_caller = student_caller
        self._calls = calls
        self._compared: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._passed: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_throttle = Throttle()

    def is_on_probation(self, student: str) -> bool:
        """Return whether the student's answers must still be compared before any is served."""
        return self._calls > 0 and student not in self._passed

    def compare_in_background(self, builder: InvocationBuilder, route: TaskRoute, answer: Message, p0: float) -> None:
        """Ask the student in the background, and compare its answer with the teacher's."""
        if len(self._tasks) < _MAX_CONCURRENT:
            task = asyncio.get_running_loop().create_task(self._compare(builder, route, answer, p0))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def wait_idle(self) -> None:
        """Wait until no student is being asked."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Cancel all comparisons in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, account: InvocationBuilder, route: TaskRoute, answer: Message, p0: float) -> None:
        attempt = await self._student_caller.ask(account, Decision("promoted", route), route, hold_back=None)
        if attempt.answer is not None and attempt.decision.is_for_student:
            agreed = await asyncio.to_thread(_judge, route.judge, answer, attempt.answer.message)
            if agreed is not None:
                self._count(route.student, agreed, p0)

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
    """Return whether two answers agree by the judge of the student's trial or, without one, by their answer keys.

    Where the judge takes long or gives no verdict, by their answer keys too, which are stricter: a call waits for this.
    """
    if judge is None:
        return answer_key(teacher) == answer_key(student)
    return agree_at_once(parse_judge(judge), teacher, student)


def _judge(judge: str | None, teacher: Message, student: Message) -> bool | None:
    """Return whether two answers agree, in a thread, where a judge may take long; None if it gives no verdict."""
    if judge is None:
        return answer_key(teacher) == answer_key(student)
    try:
        return parse_judge(judge).judge(teacher, student).agreed
    except JudgeUnavailableError:
        return None


_UNCONFIRMED_CALLS: Final = 2
"""Number of calls of a group that are served on a day before the teacher has confirmed any."""
_CONFIRMATIONS: Final = 2
"""Number of the teacher's answers that must agree before a group is served like any other call."""
_AGREED_PER_DISAGREED: Final = 20
"""Number of answers that must agree for each that did not: at most one in twenty may disagree."""
_MAX_TRACKED_STUDENTS: Final = 500
_MAX_GROUPS: Final = 20_000
_DROPPED_AT_ONCE: Final = 2
_STUDENT_RETENTION: Final = timedelta(days=7)
"""Time without a call after which the groups of a student are dropped, as of one that is retired."""


@dataclass(slots=True)
class _CopyGroup:
    """The number of near copies of a text on their last day, and of the teacher's answers that agreed or disagreed."""

    day: date
    calls: int = 0
    agreed: int = 0
    disagreed: int = 0

    def add_call(self, day: date) -> None:
        """Count a call on this day."""
        if day != self.day:
            self.day, self.calls = day, 0
        self.calls += 1

    @property
    def has_answers(self) -> bool:
        return bool(self.agreed or self.disagreed)

    @property
    def can_be_served(self) -> bool:
        if self.disagreed:
            return self.agreed >= _CONFIRMATIONS + _AGREED_PER_DISAGREED * self.disagreed
        return self.calls <= _UNCONFIRMED_CALLS or self.agreed >= _CONFIRMATIONS


class NearCopyGuard:
    """Guard against texts that recur many times within a day, as in an incident.

    Agreement proven on past calls says nothing about a thousand near copies of a text that never occurred before: a
    student that is wrong on the first is wrong on all, long before randomly sampled audits have covered enough of them.
    Therefore the third near copy on a day, and those after it, go to the teacher until two of its answers have agreed
    with the student's, and twenty more for each that did not. A confirmed text stays confirmed: audits detect a teacher
    that changes its answer.
    """

    def __init__(self) -> None:
        self._students: OrderedDict[str, _StudentCopyGroups] = OrderedDict()

    def admit_call(self, student: str, request: Request, day: date) -> bool:
        """Count a call that a student is about to serve; return whether it may serve it."""
        group = self._groups_of(student, day).find(request, day)
        group.add_call(day)
        return group.can_be_served

    def record_teacher_answer(self, day: date, request: Request, attempt: StudentAttempt, answer: Message) -> None:
        """Record the teacher's answer to a call whose student's answer waited for confirmation."""
        if attempt.answer is None or attempt.student is None:
            return
        group = self._groups_of(attempt.student, day).find(request, day)
        route = attempt.decision.route
        if is_same_answer(route.judge if route else None, answer, attempt.answer.message):
            group.agreed += 1
        else:
            group.disagreed += 1

    def _groups_of(self, student: str, day: date) -> "_StudentCopyGroups":
        groups = self._students.pop(student, None) or _StudentCopyGroups()
        if self._students:
            oldest = next(iter(self._students.values()))
            if len(self._students) >= _MAX_TRACKED_STUDENTS or oldest.day + _STUDENT_RETENTION < day:
                self._students.popitem(last=False)
        self._students[student] = groups
        return groups


class _StudentCopyGroups:
    """The groups of one student; the least recently used are evicted first.

    A group without an answer of the teacher tells nothing once its day has passed, and is dropped then, a few with each
    call, so that no call waits for many.
    """

    def __init__(self) -> None:
        self._copies = NearCopyGroups()
        self._answered: OrderedDict[str, _CopyGroup] = OrderedDict()
        self._unanswered: OrderedDict[str, _CopyGroup] = OrderedDict()
        self.day = date.min
        """The day of the last call."""

    def find(self, request: Request, day: date) -> _CopyGroup:
        self.day = day
        self._drop_past()
        name = self._copies.assign(masked_word_hashes(request_text(request) or request.system))
        group = self._answered.pop(name, None) or self._unanswered.pop(name, None) or _CopyGroup(day)
        (self._answered if group.has_answers else self._unanswered)[name] = group
        if len(self._copies) > _MAX_GROUPS:
            larger = max(self._unanswered, self._answered, key=len)
            self._copies.remove(larger.popitem(last=False)[0])
        return group

    def _drop_past(self) -> None:
        for name, group in list(islice(self._unanswered.items(), _DROPPED_AT_ONCE)):
            if group.day >= self.day:
                return
            del self._unanswered[name]
            if group.has_answers:
                self._answered[name] = group
            else:
                self._copies.remove(name)
