"""Read log exports of Portkey, whose costs are in cents."""

from collections.abc import Mapping
from typing import Any

from understudies.events import usd
from understudies.importers.exchange import read_exchange
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage, parse_usage


def is_portkey(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a row of an export."""
    marks = {"ai_model", "ai_org", "cost_currency", "req_units", "is_success", "portkeyHeaders", "cache_status"}
    return "request" in record and "response" in record and len(record.keys() & marks) >= 2


def read_portkey(record: Mapping[str, Any]) -> PartialCall:
    """Read a row; raises NotARecordedCall."""
    request, response = as_mapping(record.get("request")), as_mapping(record.get("response"))
    reply = response.get("body", response)
    call = read_exchange(request.get("body") or request, reply, record, {"status": response.get("status")})
    metadata = as_mapping(first_not_none(record.get("metadata"), request.get("metadata")))
    cents = parse_cost(record.get("cost"))
    counts = {"prompt_tokens": record.get("req_units"), "completion_tokens": record.get("res_units")}
    call.model = call.model or as_text(record.get("ai_model")) or ""
    call.usage = find_usage(as_mapping(as_mapping(reply).get("usage"))) if reply else call.usage
    if not call.usage.counted:
        call.usage = parse_usage(counts) or call.usage
    call.cost = None if cents is None else usd(cents.scaleb(-2))
    call.at = parse_time(record.get("created_at"))
    call.task = find_task(metadata) or as_text(record.get("prompt_slug")) or call.task
    call.tags = parse_tags({key: value for key, value in metadata.items() if not key.startswith("_")})
    call.latency_ms = first_not_none(as_number(record.get("response_time")), as_number(response.get("response_time")))
    call.critical = as_flag(metadata.get("critical"))
    call.episode = find_id(("episode", "session_id", "session", "sessionid", "thread_id"), metadata)
    call.trace = find_id(("trace_id",), record)
    call.free = str(record.get("cache_status")).upper() in ("HIT", "SEMANTIC HIT")
    call.kinds = (record.get("request_url"), request.get("url"))
    return call
