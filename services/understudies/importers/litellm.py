"""Read request logs of LiteLLM: rows of its spend logs, and its standard logging payload."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.bodies import Body, read_body
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
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage

_NON_CHAT_CALL_TYPE: Final = re.compile(
    r"_?a?(?:embedding|image_|moderation|transcription|speech|rerank|realtime|ocr|search|vector_store|video_|"
    r"(?:create|retrieve|list|cancel|delete|get|add|upload)_|file_|call_mcp_tool)"
)
"""Prefixes of call types that are not requests to a chat model; asynchronous call types have an `a` before them."""


def is_litellm(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a row of the spend logs or a logging payload."""
    return "call_type" in record and ("spend" in record or "response_cost" in record or "startTime" in record)


def read_litellm(record: Mapping[str, Any]) -> PartialCall:
    """Read a row of the spend logs or a logging payload; its messages may be in the proxied request only.

    Raises NotARecordedCall.
    """
    call_type = as_text(record["call_type"]) or ""
    if _NON_CHAT_CALL_TYPE.match(call_type):
        raise NotARecordedCall(f"no call of a chat model but of type {call_type!r}")
    metadata = as_mapping(record.get("metadata"))
    reply = parse_embedded_json(record.get("response"))
    replied = reply if isinstance(reply, dict) else {}
    is_response = replied.get("object") == "response"
    body = read_body(as_mapping(record.get("proxy_server_request")))
    asked = {**(replied if is_response else {}), **body.fields, **as_mapping(record.get("model_parameters"))}
    own = as_mapping(metadata.get("requester_metadata"))
    spent = as_mapping(metadata.get("spend_logs_metadata"))
    is_cached = as_flag(record.get("cache_hit"))
    seconds = as_number(record.get("response_time"))
    began = parse_time(record.get("startTime"))
    return PartialCall(
        messages=_find_messages(record, body),
        answer=reply,
        request=asked,
        model=as_text(record.get("model")) or "",
        usage=find_usage(
            as_mapping(metadata.get("usage_object")),
            {**record, **as_mapping(metadata.get("additional_usage_values"))},
        ),
        cost=parse_cost(record.get("response_cost"), record.get("spend")),
        free=is_cached,
        at=began,
        task=find_task(own, spent, metadata, as_mapping(body.fields.get("metadata"))),
        tags=parse_tags(first_not_none(record.get("request_tags"), record.get("tags"))),
        latency_ms=first_not_none(
            duration_ms_until(record.get("endTime"), began),
            as_number(record.get("request_duration_ms")),
            None if seconds is None else seconds * 1000,
        ),
        critical=as_flag(own.get("critical")) or as_flag(spent.get("critical")) or as_flag(metadata.get("critical")),
        episode=find_id(("episode",), own, spent, metadata) or find_id(("session_id",), own, spent, metadata, record),
        trace=find_id(("trace_id",), own, metadata, record),
        must_be_reply=not isinstance(reply, str),
        evidence=(record, {"status": metadata.get("status"), "error_information": metadata.get("error_information")}),
    )


def _find_messages(record: Mapping[str, Any], body: Body) -> object:
    messages = parse_embedded_json(record.get("messages")) or body.messages
    if not messages:
        raise NotARecordedCall("a log row without its messages")
    return messages
