"""Make the event of a recorded call."""

from datetime import datetime

from understudies.economics.prices import teacher_call_cost
from understudies.events import Invocation, Origin, Route, usd
from understudies.importers.recorded_call import RecordedCall


def to_invocation(
    call: RecordedCall, *, event_id: str, at: datetime, task: str, tenant: str, origin: Origin = "live"
) -> Invocation:
    """Return the invocation of a recorded call; raises ValidationError for one that events cannot hold.

    A call that was declared critical is one that no student may ever serve, and always has a price.
    """
    cost = call.recorded_cost
    if cost is None and call.critical:
        cost = teacher_call_cost(call.model, call.usage)
    return Invocation(
        id=event_id,
        at=at,
        task=task,
        tenant=tenant,
        origin=origin,
        episode=call.episode,
        served_by="teacher",
        model=call.model,
        request=call.request,
        response=call.response,
        usage=call.usage.plausible,
        cost_usd=usd(cost or 0),
        free=cost == 0 and cost is not None,
        latency_ms=call.latency_ms,
        fingerprint=call.fingerprint,
        tags=call.tags,
        route=Route(reason="critical") if call.critical else None,
    )
