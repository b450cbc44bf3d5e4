"""Asking the teacher again about calls that were served already."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Final

from understudies.events import usd
from understudies.router.account import Account, Note
from understudies.router.call import Teacher, TeacherAnswer, TeacherError
from understudies.router.decision import Decision
from understudies.router.payment import Payments
from understudies.runtime import Seldom

_MOST_WAITING: Final = 1000
_MOST_BYTES: Final = 64 * 1024 * 1024
"""What may wait for its turn; where the teacher is too slow for all audits that are drawn, the newest are given up."""

_log = logging.getLogger(__name__)


class Audits:
    """The audits in flight, of which `at_once` are asked together.

    What they cost is charged to the call's budget, which never refuses one.
    """

    def __init__(
        self, teacher: Teacher, payments: Payments, record: Callable[[Note], None], *, at_once: int = 8
    ) -> None:
        self._teacher = teacher
        self._payments = payments
        self._record = record
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._say = Seldom()
        self.given_up = 0
        """Audits that were drawn, but never asked."""
        self._turn = asyncio.Semaphore(at_once)

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(
        self,
        account: Account,
        decision: Decision,
        probability: float,
        answered: Callable[[TeacherAnswer], None] | None = None,
    ) -> None:
        """Ask about a call in the background, unless too many wait already; `answered` is told what the teacher says."""
        size = len(account.call.raw or b"")
        if self._tasks and (len(self._tasks) >= _MOST_WAITING or self._bytes + size > _MOST_BYTES):
            self._give_up(1)
            return
        task = asyncio.get_running_loop().create_task(self._audit(account.of_audit(), decision, probability, answered))
        self._tasks.add(task)
        self._bytes += size
        task.add_done_callback(functools.partial(self._done, size))

    async def idle(self) -> None:
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

    def _give_up(self, audits: int) -> None:
        self.given_up += audits
        if self._say():
            _log.warning("%d audits are given up so far: their teacher is too slow for them", self.given_up)

    async def _audit(
        self,
        account: Account,
        decision: Decision,
        probability: float,
        answered: Callable[[TeacherAnswer], None] | None,
    ) -> None:
        route = decision.recorded(audit_probability=probability)
        student = decision.route.student if decision.route else None
        call = account.call
        if not await account.can_be_recorded():
            return
        try:
            async with self._turn:
                answer = await self._teacher.ask(call, fresh=True)
        except TeacherError as error:
            cost = usd(error.cost_usd + self._payments.lost(call, error.in_vain))
            self._payments.charge(call, cost)
            self._record(account.failed(route, error, student=student, cost_usd=cost, latency_ms=error.latency_ms))
        else:
            cost = usd(answer.cost_usd + self._payments.lost(call, answer.in_vain))
            self._payments.charge(call, cost)
            self._record(account.answered(route, answer, student=student, cost_usd=cost, latency_ms=answer.latency_ms))
            if answered is not None:
                answered(answer)
