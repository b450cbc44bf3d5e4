"""Read exports of Langfuse: observations of type GENERATION."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.fields import (
    as_flag,
    as_mapping,
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

_OBSERVATION_KEYS = ("traceId", "trace_id", "usageDetails", "usage_details", "costDetails", "startTime", "start_time")
_LIBRARY_DEFAULT_NAMES = frozenset(
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
    """Return whether the record is an observation."""
    if record.get("type") in ("GENERATION", "SPAN", "EVENT"):
        return True
    return "input" in record and "output" in record and any(mark in record for mark in _OBSERVATION_KEYS)


def read_langfuse(record: Mapping[str, Any]) -> PartialCall:
    """Read a generation; raises NotARecordedCall.

    Its task comes from its metadata, its prompt or its own name, unless that name is a library's default.
    """
    if record.get("type", "GENERATION") != "GENERATION":
        raise NotARecordedCall(f"an observation of type {str(record['type'])[:40]}, not a generation")
    asked = parse_embedded_json(record.get("input"))
    metadata = as_mapping(record.get("metadata"))
    costs = as_mapping(first_not_none(record.get("costDetails"), record.get("cost_details")))
    usage = as_mapping(record.get("usage"))
    body = asked if isinstance(asked, dict) and ("messages" in asked or "input" in asked) else {}
    start, end = (first_not_none(record.get(f"{edge}Time"), record.get(f"{edge}_time")) for edge in ("start", "end"))
    return PartialCall(
        messages=first_not_none(body.get("messages"), body.get("input")) if body else asked,
        answer=record.get("output"),
        request={**body, **as_mapping(first_not_none(record.get("modelParameters"), record.get("model_parameters")))},
        model=as_text(record.get("model")) or as_text(record.get("providedModelName")) or "",
        usage=find_usage(
            as_mapping(first_not_none(record.get("usageDetails"), record.get("usage_details"))), usage, record
        ),
        cost=parse_cost(
            costs.get("total"),
            record.get("totalCost"),
            record.get("total_cost"),
            record.get("calculatedTotalCost"),
            usage.get("totalCost"),
        ),
        at=parse_time(start),
        task=find_task(metadata) or as_text(record.get("promptName")) or _find_name(record),
        tags=parse_tags(first_not_none(record.get("tags"), record.get("metadata"))),
        latency_ms=compute_duration_ms(start, end),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata) or find_id(("sessionid", "session_id"), record, metadata),
        trace=find_id(("traceid", "trace_id"), record),
    )


def _find_name(record: Mapping[str, Any]) -> str | None:
    name = as_text(record.get("name"))
    return None if name is None or name.lower() in _LIBRARY_DEFAULT_NAMES else name
