"""Request logs of LiteLLM: rows of its spend logs, and its standard logging payload."""

import re
from collections.abc import Mapping
from typing import Any, Final

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
from understudies.backtest.importers.parsing import NotACall, loaded

_NO_CHAT: Final = re.compile(
    r"_?a?(?:embedding|image_|moderation|transcription|speech|rerank|realtime|ocr|search|vector_store|video_|"
    r"(?:create|retrieve|list|cancel|delete|get|add|upload)_|file_)"
)
"""Beginnings of call types that are no question to a chat model; those of asynchronous calls have an `a` before."""


def is_litellm(record: Mapping[str, Any]) -> bool:
    """Whether the record is a row of the spend logs or a logging payload."""
    return "call_type" in record and ("spend" in record or "response_cost" in record or "startTime" in record)


def litellm(record: Mapping[str, Any]) -> Draft:
    """A row of the spend logs or a logging payload; messages may be kept in the proxied request alone."""
    if record.get("status") == "failure":
        raise NotACall("the call failed")
    call_type = text(record["call_type"]) or ""
    if _NO_CHAT.match(call_type):
        raise NotACall(f"no call of a chat model but of type {call_type!r}")
    metadata = mapping(record.get("metadata"))
    body = mapping(record.get("proxy_server_request"))
    asked = {**body, **mapping(record.get("model_parameters"))}
    own = mapping(metadata.get("requester_metadata"))
    tags = tags_of(first(record.get("request_tags"), record.get("tags")))
    cost = cost_of(record.get("response_cost"), record.get("spend"))
    if not cost and not flag(record.get("cache_hit")):
        cost = None  # LiteLLM writes zero where it does not know the model's price
    seconds = number(record.get("response_time"))
    return Draft(
        messages=_messages(record, body),
        answer=record.get("response"),
        request=asked,
        model=text(record.get("model")) or "",
        usage=usage_of(record, mapping(metadata.get("usage_object"))),
        cost=cost,
        at=moment_of(record.get("startTime")),
        task=task_in(own, metadata, mapping(body.get("metadata"))),
        tags=tags,
        latency_ms=milliseconds_between(record.get("startTime"), record.get("endTime"))
        or (None if seconds is None else seconds * 1000),
        critical=flag(own.get("critical")) or flag(metadata.get("critical")),
        episode=id_in(("episode",), own, metadata) or id_in(("session_id",), own, metadata, record),
        trace=id_in(("trace_id",), own, metadata, record),
    )


def _messages(record: Mapping[str, Any], body: Mapping[str, Any]) -> object:
    messages = loaded(record.get("messages")) or body.get("messages") or body.get("input")
    if not messages:
        raise NotACall("a log row without its messages")
    return messages
