"""A call that its teacher has to answer, and why nobody may be waiting for that any longer."""

import asyncio
from decimal import Decimal
from typing import Final

from understudies.router.account import Account
from understudies.router.attempt import Attempt
from understudies.router.call import TeacherError
from understudies.router.conformity import complaint
from understudies.router.decision import NOTHING
from understudies.runtime.plain import plain
from understudies.runtime.rules import TaskRules

HUNG_UP: Final = "hung up"
"""What a call is cancelled with where its caller is gone."""

TIMED_OUT: Final = "timed out"
"""What a call is cancelled with where it has taken too long."""


@plain
class Case:
    """A call that its teacher has to answer, after what came before."""

    account: Account
    attempt: Attempt
    rules: TaskRules

    @property
    def last_resort(self) -> bool:
        """Whether the rules let the student's answer pass that it was not sure of, as the teacher has none."""
        answer = self.attempt.answer
        if self.rules.escalation != "teacher_or_student" or answer is None:
            return False
        return complaint(self.account.call.request, answer.message) is None


def gave_up(cancelled: asyncio.CancelledError, cost: Decimal = NOTHING) -> TeacherError:
    """Why nobody waits for the teacher any longer: what the call was cancelled with, else that the router stops."""
    if HUNG_UP in cancelled.args:
        message = "the caller hung up before the teacher had answered"
        return TeacherError(499, message, code="hung_up", cost_usd=cost)
    if TIMED_OUT in cancelled.args:
        message = "the router's time-out passed before the teacher had answered"
        return TeacherError(504, message, code="timeout", cost_usd=cost)
    return TeacherError(503, "the router stopped before the teacher had answered", code="stopping", cost_usd=cost)
