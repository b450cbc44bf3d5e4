"""Asking the student."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from understudies.events import Usage, usd
from understudies.router.account import Account
from understudies.router.conformity import complaint
from understudies.router.decision import NOTHING, Decision, TaskRoute, settle
from understudies.router.roster import Roster
from understudies.runtime.plain import plain
from understudies.students.answer_key import answer_key
from understudies.students.base import Answer, Generating, Student, StudentError, Unsure, student_cost

_log = logging.getLogger(__name__)


@plain
class Attempt:
    """What became of asking the student: `decision` is settled, and `cost_usd` is what asking cost."""

    decision: Decision
    answer: Answer | None = None
    confidence: float | None = None
    cost_usd: Decimal = NOTHING
    latency_ms: float = 0.0
    failed: bool = False
    """Whether the student gave no usable answer: what its circuit breaker counts."""

    @property
    def student(self) -> str | None:
        """The student that was asked."""
        asked = self.failed or self.confidence is not None
        return self.decision.route.student if asked and self.decision.route else None


class Asker:
    """Asks promoted students, as they were trained and judged: with the redacted request."""

    def __init__(
        self,
        roster: Roster,
        *,
        flat_price_usd: Decimal,
        timeout_s: float,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._roster = roster
        self._flat_price_usd = flat_price_usd
        self._timeout_s = timeout_s
        self._timer = timer

    async def ask(self, account: Account, decision: Decision, route: TaskRoute, *, hold_back: int | None) -> Attempt:
        """The student's answer, if it is sure enough and of the form asked for; never raises but when cancelled."""
        call, began = account.call, self._timer()
        student: Student | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                student = await self._roster.student(route.artifact, call.at)
                answer = await _answered(student, account, decision, hold_back)
            settled = settle(decision, answer.confidence, head=answer.head, answer=answer_key(answer.message))
            wrong = complaint(call.request, answer.message) if settled.by_student else None
            if settled.reason == "student_error" or wrong is not None:
                raise StudentError(wrong or f"its confidence is {answer.confidence!r}, outside [0, 1]")
        except Unsure as unsure:
            given_up = replace(decision, reason="low_confidence")
            cost = self._cost(student, unsure.usage)
            # It is a bound of what it could still have reached; one that was only too long would count as sure.
            reached = min(unsure.confidence, math.nextafter(route.threshold, 0.0))
            return Attempt(given_up, None, reached, cost, self._since(began))
        except Exception as error:  # noqa: BLE001 - whatever befalls a student, the teacher answers
            _log.warning("student %s failed on call %s: %s", route.student, call.id, _told(error))
            cost = self._cost(student, Usage())
            return Attempt(settle(decision, None), None, None, cost, self._since(began), failed=True)
        cost = self._cost(student, answer.usage)
        return Attempt(settled, answer, float(answer.confidence), cost, self._since(began))

    def _cost(self, student: Student | None, usage: Usage) -> Decimal:
        """By the tokens used where the student has a price for them; a student that could not be loaded is free."""
        if student is None:
            return usd(0)
        by_tokens = student_cost(student, usage)
        return usd(self._flat_price_usd if by_tokens is None else by_tokens)

    def _since(self, began: float) -> float:
        return (self._timer() - began) * 1000


async def _answered(student: Student, account: Account, decision: Decision, hold_back: int | None) -> Answer:
    """A generated answer is given up as soon as it cannot become sure enough, or grows too long to be held back."""
    if isinstance(student, Generating):
        return await student.answer_until(
            account.request, decision.route.threshold if decision.route else 0.0, hold_back
        )
    (answer,) = await student.answer([account.request])
    return answer


def _told(error: Exception) -> str:
    """What may stand in a log: an error from elsewhere may quote a prompt."""
    return str(error) if isinstance(error, StudentError) else type(error).__name__
