"""Name why a call is cancelled, and turn the cancellation into the error that its client is sent."""

import asyncio
from decimal import Decimal
from typing import Final

from understudies.router.call import ZERO_USD, TeacherError

CLIENT_DISCONNECTED: Final = "hung up"
"""What a call is cancelled with where its caller is gone."""

DEADLINE_EXCEEDED: Final = "timed out"
"""What a call is cancelled with where it has taken too long."""


def cancellation_error(cancelled: asyncio.CancelledError, cost: Decimal = ZERO_USD) -> TeacherError:
    """Why nobody waits for the teacher any longer: what the call was cancelled with, else that the router stops."""
    if CLIENT_DISCONNECTED in cancelled.args:
        message = "the caller hung up before the teacher had answered"
        return TeacherError(499, message, code="hung_up", cost_usd=cost)
    if DEADLINE_EXCEEDED in cancelled.args:
        message = "the router's time-out passed before the teacher had answered"
        return TeacherError(504, message, code="timeout", cost_usd=cost)
    return TeacherError(503, "the router stopped before the teacher had answered", code="stopping", cost_usd=cost)
