"""A call that its teacher has to answer, and why nobody may be waiting for that any longer."""

import asyncio
from decimal import Decimal
from typing import Final

from understudies.router.account import InvocationBuilder
from understudies.router.attempt import StudentAttempt
from understudies.router.call import TeacherError
from understudies.router.conformity import validation_error
from understudies.router.decision import ZERO_USD
from understudies.runtime.plain import fast_dataclass
from understudies.runtime.rules import TaskRules

CLIENT_DISCONNECTED: Final = "hung up"
"""What a call is cancelled with where its caller is gone."""

DEADLINE_EXCEEDED: Final = "timed out"
"""What a call is cancelled with where it has taken too long."""


@fast_dataclass
class Escalation:
    """A call that its teacher has to answer, after what came before."""

    builder: InvocationBuilder
    attempt: StudentAttempt
    rules: TaskRules

    @property
    def allows_student_answer(self) -> bool:
        """Whether the rules let the student's answer pass that it was not sure of, as the teacher has none."""
        answer = self.attempt.answer
        if self.rules.escalation != "teacher_or_student" or answer is None:
            return False
        return validation_error(self.builder.call.request, answer.message) is None


def cancellation_error(cancelled: asyncio.CancelledError, cost: Decimal = ZERO_USD) -> TeacherError:
    """Why nobody waits for the teacher any longer: what the call was cancelled with, else that the router stops."""
    if CLIENT_DISCONNECTED in cancelled.args:
        message = "the caller hung up before the teacher had answered"
        return TeacherError(499, message, code="hung_up", cost_usd=cost)
    if DEADLINE_EXCEEDED in cancelled.args:
        message = "the router's time-out passed before the teacher had answered"
        return TeacherError(504, message, code="timeout", cost_usd=cost)
    return TeacherError(503, "the router stopped before the teacher had answered", code="stopping", cost_usd=cost)
