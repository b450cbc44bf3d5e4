"""Ask the teacher again about served calls: for a sample, and for each answer of a student every other day."""

import asyncio
import functools
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from understudies.events import usd
from understudies.judges.answer_key import answer_key
from understudies.router.budgets.call_budget import BudgetExceeded, CallBudget
from understudies.router.budgets.reservation import Reservation
from understudies.router.call import ZERO_USD, Call, Teacher, TeacherAnswer, TeacherError
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.routing.decision import Decision, TaskRoute
from understudies.runtime.throttle import Throttle
from understudies.students.base import Answer

_MAX_ANSWERS: Final = 50_000
_DAILY_SPAN: Final = timedelta(days=4)
"""Time for which an answer is checked daily, from when it was first given; later, every other day."""


class SpotCheckSchedule:
    """Remember the days on which each answer of each student was first and last checked; evict the oldest first.

    Random sampling hardly ever selects an answer that one call in a hundred gets, so a class of calls that is always
    answered wrongly could persist for weeks. These audits are not a sample, and say nothing about all calls together.
    """

    def __init__(self) -> None:
        self._checked: OrderedDict[tuple[str, str], tuple[date, date]] = OrderedDict()

    def take_due(self, call: Call, route: TaskRoute, answer: Answer) -> bool:
        """Return whether this answer of the student is due to be checked; if so, count it as checked today."""
        key, today = (route.student, answer_key(answer.message)), call.at.date()
        first, last = self._checked.get(key, (today, date.min))
        if today - last < timedelta(days=1 if today - first < _DAILY_SPAN else 2):
            return False
        self._checked[key] = first, today
        self._checked.move_to_end(key)
        if len(self._checked) > _MAX_ANSWERS:
            self._checked.popitem(last=False)
        return True


_FOLLOW_UPS: Final = 4
"""Number of answers that are all audited after one with which the teacher disagrees."""


class TightenedInspection:
    """Raise the audit probability of a student's next answers to 1 after a sampled audit that disagrees.

    As in the switching rules of ISO 2859-1: the probability depends on past calls only, so that such an audit is as
    unbiased as a sampled one, and the drift detectors receive data at the rate of calls instead of samples.
    """

    def __init__(self) -> None:
        self._remaining: OrderedDict[str, int] = OrderedDict()

    def tighten(self, student: str) -> None:
        """Audit each of the student's next `_FOLLOW_UPS` answers."""
        self._remaining[student] = _FOLLOW_UPS
        self._remaining.move_to_end(student)
        if len(self._remaining) > _MAX_ANSWERS:
            self._remaining.popitem(last=False)

    def take_probability(self, student: str, sampling_rate: float) -> float:
        """Return the audit probability of the student's next answer, and count that answer."""
        remaining = self._remaining.get(student, 0)
        if remaining == 0 or sampling_rate <= 0.0:
            return sampling_rate
        if remaining == 1:
            del self._remaining[student]
        else:
            self._remaining[student] = remaining - 1
        return 1.0


_MAX_PENDING: Final = 1000
_MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Limit on pending audits, in bytes; if the teacher is too slow for all sampled audits, the newest are dropped."""

_log = logging.getLogger(__name__)


class AuditQueue:
    """The audits in flight, of which at most `max_concurrent` ask the teacher at the same time.

    Their cost is charged to the call's budget, which never refuses an audit, unless the queue stays `within_budget`:
    then what it has no money for is not asked.
    """

    def __init__(
        self,
        teacher: Teacher,
        budget: CallBudget,
        record: Callable[[PendingInvocation], None],
        *,
        max_concurrent: int = 8,
        within_budget: bool = False,
    ) -> None:
        self._within_budget = within_budget
        self._teacher = teacher
        self._budget = budget
        self._record = record
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._log_throttle = Throttle()
        self.dropped = 0
        """Number of audits that were sampled but never asked."""
        self._slots = asyncio.Semaphore(max_concurrent)

    def __len__(self) -> int:
        return len(self._tasks)

    def enqueue(
        self,
        builder: InvocationBuilder,
        decision: Decision,
        probability: float,
        on_answer: Callable[[TeacherAnswer], None] | None = None,
    ) -> None:
        """Audit a call in the background, unless too many are pending; then call `on_answer` with the answer."""
        size = len(builder.call.raw or b"")
        if self._tasks and (len(self._tasks) >= _MAX_PENDING or self._bytes + size > _MAX_PENDING_BYTES):
            self._drop(1)
            return
        task = asyncio.get_running_loop().create_task(
            self._audit(builder.for_audit() if builder.origin == "live" else builder, decision, probability, on_answer)
        )
        self._tasks.add(task)
        self._bytes += size
        task.add_done_callback(functools.partial(self._done, size))

    async def wait_idle(self) -> None:
        """Wait until no audit is in flight."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the audits in flight, up to a timeout, and cancel those that are not done."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            _log.warning("%d audits dropped: the teacher did not answer in time", len(late))
        await asyncio.gather(*late, return_exceptions=True)

    def _done(self, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._bytes -= size

    def _drop(self, audits: int) -> None:
        self.dropped += audits
        if self._log_throttle():
            _log.warning("%d audits dropped so far: the teacher is too slow for them", self.dropped)

    async def _audit(
        self,
        account: InvocationBuilder,
        decision: Decision,
        probability: float,
        on_answer: Callable[[TeacherAnswer], None] | None,
    ) -> None:
        route = decision.to_record(audit_probability=probability)
        student = decision.route.student if decision.route else None
        call = account.call
        if not await account.check_recordable():
            return
        reservation: Reservation | None = None
        cost = ZERO_USD
        try:
            async with self._slots:
                if self._within_budget:
                    reservation = await self._budget.reserve(call)
                answer = await self._teacher.ask(call, fresh=True)
        except BudgetExceeded:
            return
        except TeacherError as error:
            unproductive = self._budget.unproductive_cost(call, error.unproductive_attempts)
            cost = usd(error.cost_usd + error.earlier_cost_usd + unproductive)
            self._record(
                account.from_failure(route, error, student=student, cost_usd=cost, latency_ms=error.latency_ms)
            )
        else:
            unproductive = self._budget.unproductive_cost(call, answer.unproductive_attempts)
            cost = usd(answer.cost_usd + answer.earlier_cost_usd + unproductive)
            self._record(
                account.from_teacher(route, answer, student=student, cost_usd=cost, latency_ms=answer.latency_ms)
            )
            if on_answer is not None:
                on_answer(answer)
        finally:
            # Also for one that is cancelled: what was reserved for it is free again.
            if reservation is not None:
                self._budget.settle(reservation, call, cost)
            elif cost:
                self._budget.charge(call, cost)
