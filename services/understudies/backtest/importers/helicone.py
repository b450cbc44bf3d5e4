"""Request logs of Helicone: flat rows, or a request beside its response."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.draft import Draft
from understudies.backtest.importers.fields import (
    cost_of,
    first,
    flag,
    id_in,
    mapping,
    milliseconds_between,
    moment_of,
    number,
    tags_of,
    task_in,
    text,
    usage_of,
)
from understudies.backtest.importers.parsing import NotACall


def is_helicone(record: Mapping[str, Any]) -> bool:
    """Whether the record is a row of the request log."""
    if "request_body" in record or "request_created_at" in record:
        return True
    request = record.get("request")
    return isinstance(request, dict) and "body" in request


def helicone(record: Mapping[str, Any]) -> Draft:
    """A row of the request log."""
    request, response = mapping(record.get("request")), mapping(record.get("response"))
    body = mapping(first(record.get("request_body"), request.get("body")))
    reply = first(record.get("response_body"), response.get("body"))
    if not body:
        raise NotACall("a log row without the request's body")
    if mapping(reply).get("error"):
        raise NotACall("the call failed")
    properties = mapping(first(record.get("request_properties"), record.get("properties"), request.get("properties")))
    start = first(record.get("request_created_at"), request.get("created_at"), record.get("created_at"))
    end = first(record.get("response_created_at"), response.get("created_at"))
    return Draft(
        messages=first(body.get("messages"), body.get("input"), body.get("prompt")),
        answer=reply,
        request=body,
        model=_model(record, response, body),
        usage=usage_of(mapping(mapping(reply).get("usage")), record, response),
        cost=cost_of(record.get("costUSD"), record.get("cost_usd"), record.get("cost"), response.get("cost")),
        at=moment_of(start),
        task=task_in(properties, record),
        tags=tags_of(properties),
        latency_ms=first(
            number(record.get("delay_ms")), number(response.get("delay_ms")), milliseconds_between(start, end)
        ),
        critical=flag(properties.get("critical")) or flag(properties.get("Critical")),
        episode=id_in(("episode", "helicone-session-id"), properties),
    )


def _model(record: Mapping[str, Any], response: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    names = (record.get("model"), record.get("response_model"), response.get("model"), record.get("request_model"))
    return next((name for value in (*names, body.get("model")) if (name := text(value))), "")
