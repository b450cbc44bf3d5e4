"""Read Understudies' own events: invocations that a teacher answered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from understudies.events import Request, Response
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    find_id,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage


def is_invocation(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an event of the topic `invocations`."""
    return record.get("type") == "invocation" and isinstance(record.get("request"), dict)


def read_invocation(record: Mapping[str, Any]) -> PartialCall:
    """Read an invocation that a teacher answered for an agent, whose request and response are already canonical.

    Raises NotARecordedCall or ValidationError.
    """
    if record.get("served_by", "teacher") != "teacher":
        raise NotARecordedCall("not answered by the teacher")
    if record.get("origin") in ("audit", "synthetic", "succession"):
        raise NotARecordedCall("not a call of an agent")
    if as_flag(record.get("hung_up")):
        raise NotARecordedCall("the caller hung up: the answer is what had arrived")
    if as_mapping(record.get("route")).get("reason") == "fallback":
        raise NotARecordedCall("another model answered in place of the teacher")
    response = as_mapping(record.get("response"))
    if not response:
        raise NotARecordedCall("no teacher answer")
    return PartialCall(
        messages=None,
        canonical=(Request.model_validate(record["request"]), Response.model_validate(response)),
        model=as_text(record.get("model")) or "",
        usage=find_usage(as_mapping(record.get("usage"))),
        cost=_parse_recorded_cost(record),
        at=parse_time(record.get("at")),
        task=as_text(record.get("task")),
        tags=parse_tags(record.get("tags")),
        latency_ms=as_number(record.get("latency_ms")),
        critical=as_mapping(record.get("route")).get("reason") == "critical",
        episode=find_id(("episode",), record),
        evidence=({"error": record.get("error")},),
        free=True,
    )


def _parse_recorded_cost(record: Mapping[str, Any]) -> Decimal | None:
    """Return the cost of the call in US dollars, or None for a 0 that only means that no price was known."""
    cost = parse_cost(record.get("cost_usd"))
    known = cost or record.get("free") is True or as_mapping(record.get("route"))
    return cost if known else None
