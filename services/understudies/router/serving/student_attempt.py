"""Ask a student within its deadline; escalate the call to the teacher when it is unsure or fails."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from understudies.events import Usage, usd
from understudies.judges.answer_key import answer_key
from understudies.router.call import ZERO_USD
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision, TaskRoute, after_student
from understudies.router.serving.student_registry import StudentRegistry
from understudies.runtime.fast_dataclass import fast_dataclass
from understudies.students.answer_validation import validation_error
from understudies.students.base import Answer, ConfidenceTooLow, Student, StudentError, is_generating, student_cost

_log = logging.getLogger(__name__)


@fast_dataclass
class StudentAttempt:
    """The result of asking the student, at `cost_usd`; `decision` is the route of the call after it."""

    decision: Decision
    answer: Answer | None = None
    confidence: float | None = None
    cost_usd: Decimal = ZERO_USD
    latency_ms: float = 0.0
    failed: bool = False
    """True if the student gave no usable answer; its circuit breaker counts these."""

    @property
    def student(self) -> str | None:
        """The student that was asked; None if none was."""
        asked = self.failed or self.confidence is not None
        return self.decision.route.student if asked and self.decision.route else None


class StudentCaller:
    """Ask promoted students with the redacted request, which is how they were trained and judged."""

    def __init__(
        self,
        registry: StudentRegistry,
        *,
        flat_price_usd: Decimal,
        timeout_s: float,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._registry = registry
        self._flat_price_usd = flat_price_usd
        self._timeout_s = timeout_s
        self._timer = timer

    async def ask(
        self, builder: InvocationBuilder, decision: Decision, route: TaskRoute, *, hold_back: int | None
    ) -> StudentAttempt:
        """Return the attempt, for the student if its answer is confident and valid; raises only when cancelled."""
        call, began = builder.call, self._timer()
        student: Student | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                student = await self._registry.get(route.artifact, call.at)
                answer = await _generate_answer(student, builder, decision, hold_back)
            settled = after_student(decision, answer.confidence, head=answer.head, answer=answer_key(answer.message))
            wrong = validation_error(call.request, answer.message) if settled.is_for_student else None
            if settled.reason == "student_error" or wrong is not None:
                raise StudentError(wrong or f"its confidence is {answer.confidence!r}, outside [0, 1]")
        except ConfidenceTooLow as unsure:
            given_up = replace(decision, reason="low_confidence")
            cost = self._cost(student, unsure.usage)
            # This is a bound on what it could still have reached; it is capped below the threshold, because an answer
            # that was only too long would otherwise count as confident.
            reached = min(unsure.confidence, math.nextafter(route.threshold, 0.0))
            return StudentAttempt(given_up, None, reached, cost, self._elapsed_ms(began))
        except Exception as error:  # noqa: BLE001 - the teacher answers, however a student fails
            _log.warning("student %s failed on call %s: %s", route.student, call.id, _loggable(error))
            cost = self._cost(student, Usage())
            return StudentAttempt(after_student(decision, None), None, None, cost, self._elapsed_ms(began), failed=True)
        cost = self._cost(student, answer.usage)
        return StudentAttempt(settled, answer, float(answer.confidence), cost, self._elapsed_ms(began))

    def _cost(self, student: Student | None, usage: Usage) -> Decimal:
        """Return the cost by tokens if the student has a price for them, else the flat price; 0 if it is not loaded."""
        if student is None:
            return usd(0)
        by_tokens = student_cost(student, usage)
        return usd(self._flat_price_usd if by_tokens is None else by_tokens)

    def _elapsed_ms(self, began: float) -> float:
        return (self._timer() - began) * 1000


async def _generate_answer(
    student: Student, account: InvocationBuilder, decision: Decision, hold_back: int | None
) -> Answer:
    """Return the student's answer.

    A generated answer is cancelled as soon as it cannot become confident enough, or grows too long to be held back.
    """
    if is_generating(student):
        return await student.answer_until(
            account.request, decision.route.threshold if decision.route else 0.0, hold_back
        )
    (answer,) = await student.answer([account.request])
    return answer


def _loggable(error: Exception) -> str:
    """Return the text that may be logged: an error from elsewhere may quote a prompt."""
    return str(error) if isinstance(error, StudentError) else type(error).__name__
