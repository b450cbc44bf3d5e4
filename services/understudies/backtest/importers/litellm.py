"""Read request logs of LiteLLM: rows of its spend logs, and its standard logging payload."""

import re
from collections.abc import Mapping
from typing import Any, Final

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
from understudies.backtest.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.backtest.importers.partial_call import PartialCall

_NON_CHAT_CALL_TYPE: Final = re.compile(
    r"_?a?(?:embedding|image_|moderation|transcription|speech|rerank|realtime|ocr|search|vector_store|video_|"
    r"(?:create|retrieve|list|cancel|delete|get|add|upload)_|file_)"
)
"""Prefixes of call types that are not requests to a chat model; asynchronous call types have an `a` before them."""


def is_litellm(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a row of the spend logs or a logging payload."""
    return "call_type" in record and ("spend" in record or "response_cost" in record or "startTime" in record)


def read_litellm(record: Mapping[str, Any]) -> PartialCall:
    """Read a row of the spend logs or a logging payload; its messages may be in the proxied request only.

    Raises NotARecordedCall.
    """
    if record.get("status") == "failure":
        raise NotARecordedCall("the call failed")
    call_type = as_text(record["call_type"]) or ""
    if _NON_CHAT_CALL_TYPE.match(call_type):
        raise NotARecordedCall(f"no call of a chat model but of type {call_type!r}")
    metadata = as_mapping(record.get("metadata"))
    body = as_mapping(record.get("proxy_server_request"))
    asked = {**body, **as_mapping(record.get("model_parameters"))}
    own = as_mapping(metadata.get("requester_metadata"))
    tags = parse_tags(first_not_none(record.get("request_tags"), record.get("tags")))
    cost = parse_cost(record.get("response_cost"), record.get("spend"))
    if not cost and not as_flag(record.get("cache_hit")):
        cost = None  # LiteLLM writes zero if it does not know the model's price
    seconds = as_number(record.get("response_time"))
    return PartialCall(
        messages=_find_messages(record, body),
        answer=record.get("response"),
        request=asked,
        model=as_text(record.get("model")) or "",
        usage=find_usage(record, as_mapping(metadata.get("usage_object"))),
        cost=cost,
        at=parse_time(record.get("startTime")),
        task=find_task(own, metadata, as_mapping(body.get("metadata"))),
        tags=tags,
        latency_ms=compute_duration_ms(record.get("startTime"), record.get("endTime"))
        or (None if seconds is None else seconds * 1000),
        critical=as_flag(own.get("critical")) or as_flag(metadata.get("critical")),
        episode=find_id(("episode",), own, metadata) or find_id(("session_id",), own, metadata, record),
        trace=find_id(("trace_id",), own, metadata, record),
    )


def _find_messages(record: Mapping[str, Any], body: Mapping[str, Any]) -> object:
    messages = parse_embedded_json(record.get("messages")) or body.get("messages") or body.get("input")
    if not messages:
        raise NotARecordedCall("a log row without its messages")
    return messages
