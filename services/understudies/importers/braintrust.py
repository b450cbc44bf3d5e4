"""Read logs of Braintrust: spans of type `llm` are calls."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.bodies import Body, read_body
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_text,
    duration_ms_until,
    find_id,
    find_task,
    first_not_none,
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import OtherKind, parse_embedded_json
from understudies.importers.nesting import first_parent
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import NO_USAGE, parse_usage

_COUNTS: Final = {
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "tokens": "total_tokens",
    "prompt_cached_tokens": "cached_tokens",
    "prompt_cache_creation_tokens": "cache_write_tokens",
    "prompt_cache_creation_5m_tokens": "cache_creation_5m_input_tokens",
    "prompt_cache_creation_1h_tokens": "cache_creation_1h_input_tokens",
    "completion_reasoning_tokens": "reasoning_tokens",
    "prompt_audio_tokens": "prompt_audio_tokens",
    "completion_audio_tokens": "completion_audio_tokens",
}
"""Counts among the metrics, whose prompt tokens include the cached ones, with the names that others have."""


def is_braintrust(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a span."""
    is_placed = "root_span_id" in record or "span_id" in record
    return is_placed and "input" in record and bool(as_mapping(record.get("span_attributes")))


def read_braintrust(record: Mapping[str, Any]) -> PartialCall:
    """Read a span of a model; raises NotARecordedCall for other spans."""
    about = as_mapping(record.get("span_attributes"))
    if (kind := about.get("type")) != "llm":
        raise OtherKind(f"a span of type {str(kind)[:40]!r}, not of a model")
    metadata, metrics = as_mapping(record.get("metadata")), as_mapping(record.get("metrics"))
    given = parse_embedded_json(record.get("input"))
    body = read_body(given) if isinstance(given, dict) and "role" not in given else Body(given, {})
    answer = parse_embedded_json(record.get("output"))
    if isinstance(answer, list) and answer and isinstance(answer[0], dict) and "message" in answer[0]:
        answer = {"choices": answer}  # as the wrapped clients of OpenAI log it
    began = parse_time(first_not_none(metrics.get("start"), record.get("created")))
    counts = {_COUNTS[name]: count for name, count in metrics.items() if name in _COUNTS}
    return PartialCall(
        messages=body.messages,
        answer=answer or None,
        request={**metadata, **body.fields},
        model=as_text(metadata.get("model")) or "",
        usage=parse_usage(counts) or NO_USAGE,
        cost=parse_cost(metrics.get("cost"), metrics.get("estimated_cost")),
        at=began,
        task=find_task(metadata),
        tags=parse_tags(metadata) | parse_tags(record.get("tags")),
        latency_ms=duration_ms_until(metrics.get("end"), began),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata)
        or find_id(("session_id", "sessionid", "thread_id", "conversation_id"), metadata),
        trace=find_id(("root_span_id",), record),
        evidence=({"error": record.get("error")},),
        span=find_id(("span_id",), record),
        parent=first_parent(record),
    )
