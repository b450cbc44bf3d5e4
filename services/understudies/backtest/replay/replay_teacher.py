"""Answer as the teacher from the recorded calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from understudies.importers.recorded_call import RecordedCall
from understudies.router.call import Call, TeacherAnswer


@dataclass(frozen=True, slots=True)
class ReplayTeacher:
    """Answer each call as recorded and at its price, with the same answer if asked again."""

    calls: Mapping[str, RecordedCall]
    prices: Mapping[str, Decimal]

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
