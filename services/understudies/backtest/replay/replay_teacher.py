"""A teacher that answers from the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from understudies.backtest.recorded_call import RecordedCall
from understudies.router.call import Call, TeacherAnswer


@dataclass(frozen=True, slots=True)
class ReplayTeacher:
    """Gives each call its recorded answer at its price, and the same one when it is asked again."""

    calls: Mapping[str, RecordedCall]
    prices: Mapping[str, Decimal]

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """The recorded answer of the call with this id."""
        recorded = self.calls[call.id]
        return TeacherAnswer(
            response=recorded.response,
            model=recorded.model or "teacher",
            usage=recorded.usage,
            cost_usd=self.prices[call.id],
            latency_ms=recorded.latency_ms,
        )
