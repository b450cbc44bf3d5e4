"""Answer as the teacher from the recorded calls."""

from dataclasses import dataclass, field
from decimal import Decimal

from understudies.backtest.replay.schedule import ScheduledCall
from understudies.importers.recorded_call import RecordedCall
from understudies.router.call import Call, TeacherAnswer


@dataclass(frozen=True, slots=True)
class ReplayTeacher:
    """Answer each call as recorded and at its price, with the same answer if asked again.

    It knows the calls that are being played: a call and its audit end before the next one begins.
    """

    calls: dict[str, RecordedCall] = field(default_factory=dict)
    prices: dict[str, Decimal] = field(default_factory=dict)

    def expect(self, scheduled: ScheduledCall) -> None:
        """Know this call from now on, and no other."""
        self.calls.clear()
        self.prices.clear()
        self.calls[scheduled.id], self.prices[scheduled.id] = scheduled.call, scheduled.price

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """Return the recorded answer of the call with this id."""
        recorded = self.calls[call.id]
        return TeacherAnswer(
            response=recorded.response,
            model=recorded.model or "teacher",
            usage=recorded.usage,
            cost_usd=self.prices[call.id],
            latency_ms=recorded.latency_ms,
        )
