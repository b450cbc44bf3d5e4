"""Request logs of LiteLLM: rows of its spend logs, and its standard logging payload."""

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
from understudies.backtest.importers.parsing import NotACall, loaded


def is_litellm(record: Mapping[str, Any]) -> bool:
    """Whether the record is a row of the spend logs or a logging payload."""
    return "call_type" in record and ("spend" in record or "response_cost" in record or "startTime" in record)


def litellm(record: Mapping[str, Any]) -> Draft:
    """A row of the spend logs or a logging payload; messages may be kept in the proxied request alone."""
    if record.get("status") == "failure":
        raise NotACall("the call failed")
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
