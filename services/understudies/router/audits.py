"""Asking the teacher again about calls that were served already."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Final

from understudies.events import usd
from understudies.router.account import InvocationBuilder, PendingInvocation
from understudies.router.call import Teacher, TeacherError
from understudies.router.decision import Decision
from understudies.router.payment import CallBudget
from understudies.runtime import Throttle

_MAX_PENDING: Final = 1000
_MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""What may wait for its turn; where the teacher is too slow for all audits that are drawn, the newest are given up."""

_log = logging.getLogger(__name__)


class AuditQueue:
    """The audits in flight, of which `at_once` are asked together.

    What they cost is charged to the call's budget, which never refuses one.
    """

    def __init__(
        self,
        teacher: Teacher,
        budget: CallBudget,
        record: Callable[[PendingInvocation], None],
        *,
        max_concurrent: int = 8,
    ) -> None:
        self._teacher = teacher
        self._budget = budget
        self._record = record
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._log_throttle = Throttle()
        self.dropped = 0
        """Audits that were drawn, but never asked."""
        self._slots = asyncio.Semaphore(max_concurrent)

    def __len__(self) -> int:
        return len(self._tasks)

    def enqueue(self, builder: InvocationBuilder, decision: Decision, probability: float) -> None:
        """Ask about a call in the background, unless too many wait already."""
        size = len(builder.call.raw or b"")
        if self._tasks and (len(self._tasks) >= _MAX_PENDING or self._bytes + size > _MAX_PENDING_BYTES):
            self._drop(1)
            return
        task = asyncio.get_running_loop().create_task(self._audit(builder.for_audit(), decision, probability))
        self._tasks.add(task)
        self._bytes += size
        task.add_done_callback(functools.partial(self._done, size))

    async def wait_idle(self) -> None:
        """Return when none is in flight."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for those in flight, within a time-out, and give up those that are not done."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            _log.warning("%d audits are given up: their teacher has not answered", len(late))
        await asyncio.gather(*late, return_exceptions=True)

    def _done(self, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._bytes -= size

    def _drop(self, audits: int) -> None:
        self.dropped += audits
        if self._log_throttle():
            _log.warning("%d audits are given up so far: their teacher is too slow for them", self.dropped)

    async def _audit(self, account: InvocationBuilder, decision: Decision, probability: float) -> None:
        route = decision.to_record(audit_probability=probability)
        student = decision.route.student if decision.route else None
        call = account.call
        if not await account.check_recordable():
            return
        try:
            async with self._slots:
                answer = await self._teacher.ask(call, fresh=True)
        except TeacherError as error:
            cost = usd(error.cost_usd + self._budget.unproductive_cost(call, error.unproductive_attempts))
            self._budget.charge(call, cost)
            self._record(
                account.from_failure(route, error, student=student, cost_usd=cost, latency_ms=error.latency_ms)
            )
        else:
            cost = usd(answer.cost_usd + self._budget.unproductive_cost(call, answer.unproductive_attempts))
            self._budget.charge(call, cost)
            self._record(
                account.from_teacher(route, answer, student=student, cost_usd=cost, latency_ms=answer.latency_ms)
            )
