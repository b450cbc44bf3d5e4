"""Recorded calls for tests."""

from datetime import datetime
from decimal import Decimal

from understudies.events import Message, Request, Response, Usage, fingerprint
from understudies.importers.recorded_call import RecordedCall


def recorded_call(
    *,
    line: int = 1,
    at: datetime | None = None,
    task: str | None = None,
    system: str = "Classify.",
    asked: str = "hello",
    answer: str = "greeting",
    model: str = "",
    usage: Usage | None = None,
    cost: Decimal | None = None,
) -> RecordedCall:
    """A recorded call with an answer."""
    request = Request(messages=(Message(role="system", content=system), Message(role="user", content=asked)))
    return RecordedCall(
        line=line,
        at=at,
        task=task,
        request=request,
        response=Response(message=Message(role="assistant", content=answer)),
        model=model,
        usage=usage or Usage(),
        recorded_cost=cost,
        latency_ms=0.0,
        tags={},
        critical=False,
        fingerprint=fingerprint(request),
    )
