"""Exports of Langfuse: observations of type GENERATION."""

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
    tags_of,
    task_in,
    text,
    usage_of,
)
from understudies.backtest.importers.parsing import NotACall, loaded

_MARKS = ("traceId", "trace_id", "usageDetails", "usage_details", "costDetails", "startTime", "start_time")
_NAMES_OF_LIBRARIES = frozenset(
    {
        "anthropic-generation",
        "azurechatopenai",
        "chat.completion",
        "chatanthropic",
        "chatopenai",
        "completion",
        "generation",
        "litellm-acompletion",
        "litellm-completion",
        "llm",
        "openai-generation",
    }
)


def is_langfuse(record: Mapping[str, Any]) -> bool:
    """Whether the record is an observation."""
    if record.get("type") in ("GENERATION", "SPAN", "EVENT"):
        return True
    return "input" in record and "output" in record and any(mark in record for mark in _MARKS)


def langfuse(record: Mapping[str, Any]) -> Draft:
    """A generation; metadata, the prompt or its own name tell its task, unless that name is a library's default."""
    if record.get("type", "GENERATION") != "GENERATION":
        raise NotACall(f"an observation of type {str(record['type'])[:40]}, not a generation")
    asked = loaded(record.get("input"))
    metadata = mapping(record.get("metadata"))
    costs = mapping(first(record.get("costDetails"), record.get("cost_details")))
    usage = mapping(record.get("usage"))
    body = asked if isinstance(asked, dict) and "messages" in asked else {}
    start, end = (first(record.get(f"{edge}Time"), record.get(f"{edge}_time")) for edge in ("start", "end"))
    return Draft(
        messages=body["messages"] if body else asked,
        answer=record.get("output"),
        request={**body, **mapping(first(record.get("modelParameters"), record.get("model_parameters")))},
        model=text(record.get("model")) or text(record.get("providedModelName")) or "",
        usage=usage_of(mapping(first(record.get("usageDetails"), record.get("usage_details"))), usage, record),
        cost=cost_of(
            costs.get("total"),
            record.get("totalCost"),
            record.get("total_cost"),
            record.get("calculatedTotalCost"),
            usage.get("totalCost"),
        ),
        at=moment_of(start),
        task=task_in(metadata) or text(record.get("promptName")) or _name(record),
        tags=tags_of(first(record.get("tags"), record.get("metadata"))),
        latency_ms=milliseconds_between(start, end),
        critical=flag(metadata.get("critical")),
        episode=id_in(("episode",), metadata) or id_in(("sessionid", "session_id"), record, metadata),
        trace=id_in(("traceid", "trace_id"), record),
    )


def _name(record: Mapping[str, Any]) -> str | None:
    name = text(record.get("name"))
    return None if name is None or name.lower() in _NAMES_OF_LIBRARIES else name
