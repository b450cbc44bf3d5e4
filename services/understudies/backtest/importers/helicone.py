"""Read request logs of Helicone: flat rows, or a request beside its response."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    compute_duration_ms,
    find_id,
    find_task,
    find_usage,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.backtest.importers.json_parsing import NotARecordedCall
from understudies.backtest.importers.partial_call import PartialCall


def is_helicone(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a row of the request log."""
    if "request_body" in record or "request_created_at" in record:
        return True
    request = record.get("request")
    return isinstance(request, dict) and "body" in request


def read_helicone(record: Mapping[str, Any]) -> PartialCall:
    """Read a row of the request log; raises NotARecordedCall."""
    request, response = as_mapping(record.get("request")), as_mapping(record.get("response"))
    body = as_mapping(first_not_none(record.get("request_body"), request.get("body")))
    reply = first_not_none(record.get("response_body"), response.get("body"))
    if not body:
        raise NotARecordedCall("a log row without the request's body")
    if as_mapping(reply).get("error"):
        raise NotARecordedCall("the call failed")
    properties = as_mapping(
        first_not_none(record.get("request_properties"), record.get("properties"), request.get("properties"))
    )
    start = first_not_none(record.get("request_created_at"), request.get("created_at"), record.get("created_at"))
    end = first_not_none(record.get("response_created_at"), response.get("created_at"))
    return PartialCall(
        messages=first_not_none(body.get("messages"), body.get("input"), body.get("prompt")),
        answer=reply,
        request=body,
        model=_find_model(record, response, body),
        usage=find_usage(as_mapping(as_mapping(reply).get("usage")), record, response),
        cost=parse_cost(record.get("costUSD"), record.get("cost_usd"), record.get("cost"), response.get("cost")),
        at=parse_time(start),
        task=find_task(properties, record),
        tags=parse_tags(properties),
        latency_ms=first_not_none(
            as_number(record.get("delay_ms")), as_number(response.get("delay_ms")), compute_duration_ms(start, end)
        ),
        critical=as_flag(properties.get("critical")) or as_flag(properties.get("Critical")),
        episode=find_id(("episode", "helicone-session-id"), properties),
    )


def _find_model(record: Mapping[str, Any], response: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    names = (record.get("model"), record.get("response_model"), response.get("model"), record.get("request_model"))
    return next((name for value in (*names, body.get("model")) if (name := as_text(value))), "")
