"""Read request logs of Helicone: flat rows, or a request beside its response."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from understudies.events import usd
from understudies.importers.exchange import read_exchange
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    duration_ms_until,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.native import find_latency
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage

_NANO_DOLLARS_FROM: Final = 100
"""The store holds costs in 1e-9 dollars, the API in dollars; no call costs as much as this in dollars."""

_REPLIED: Final = frozenset({"choices", "content", "candidates", "output", "error"})
"""Fields of replies and errors, beside which the events of a stream are told once more."""
_NO_REFERENCE: Final = "00000000-0000-0000-0000-000000000000"


def is_helicone(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a row of the request log."""
    if "request_body" in record or "request_created_at" in record:
        return True
    request = record.get("request")
    return isinstance(request, dict) and "body" in request


def read_helicone(record: Mapping[str, Any]) -> PartialCall:
    """Read a row of the request log; raises NotARecordedCall."""
    request, response = as_mapping(record.get("request")), as_mapping(record.get("response"))
    body = first_not_none(record.get("request_body"), request.get("body"))
    reply = first_not_none(record.get("response_body"), response.get("body"))
    properties = as_mapping(
        first_not_none(record.get("request_properties"), record.get("properties"), request.get("properties"))
    )
    start = first_not_none(record.get("request_created_at"), request.get("created_at"), record.get("created_at"))
    end = first_not_none(record.get("response_created_at"), response.get("created_at"))
    if (events := as_mapping(reply).get("streamed_data")) and _REPLIED.isdisjoint(as_mapping(reply)):
        reply = events
    call = read_exchange(body, reply, record, {"status": response.get("status")})
    call.model = _find_model(record, response) or call.model
    call.usage = find_usage(as_mapping(as_mapping(reply).get("usage")), record, response)
    told = parse_cost(record.get("costUSD"), record.get("cost_usd"))
    call.cost = told or first_not_none(_parse_cost(record, response), told)
    call.at = parse_time(start)
    call.task = find_task(properties, record) or call.task
    call.tags = parse_tags(properties)
    call.latency_ms = first_not_none(
        as_number(record.get("delay_ms")),
        as_number(response.get("delay_ms")),
        duration_ms_until(end, call.at),
        find_latency(record),
    )
    call.critical = as_flag(properties.get("critical")) or as_flag(properties.get("Critical"))
    call.episode = find_id(("episode", "helicone-session-id"), properties)
    call.free = _is_cached(record)
    call.kinds = (record.get("request_path"), request.get("path"), record.get("target_url"))
    return call


def _is_cached(record: Mapping[str, Any]) -> bool:
    """Return whether the answer came from Helicone's cache: it names the request whose answer it was."""
    reference = as_text(record.get("cache_reference_id"))
    return reference is not None and reference != _NO_REFERENCE


def _parse_cost(record: Mapping[str, Any], response: Mapping[str, Any]) -> Decimal | None:
    cost = parse_cost(record.get("cost"), response.get("cost"))
    return usd(cost.scaleb(-9)) if cost is not None and cost >= _NANO_DOLLARS_FROM else cost


def _find_model(record: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    names = (record.get("model"), record.get("response_model"), response.get("model"), record.get("request_model"))
    return next((name for value in names if (name := as_text(value))), "")
