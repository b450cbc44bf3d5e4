"""Read traces and spans of Opik: spans of type `llm` are calls, a whole trace is none."""

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
    parse_cost,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.partial_call import PartialCall
from understudies.importers.span_attributes import nest_attributes
from understudies.importers.usage import find_usage, parse_usage

_WHOLE_TRACE: Final = frozenset(
    {"span_count", "llm_span_count", "total_estimated_cost", "spanCount", "totalEstimatedCost"}
)
_PROJECTS: Final = frozenset({"project_id", "project_name", "projectId", "projectName"})
_TRACE_IDS: Final = frozenset({"trace_id", "traceId"})
OPIK_MARKS: Final = _WHOLE_TRACE | _PROJECTS | {"type"}


def is_opik(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a trace or a span."""
    if "input" not in record and "output" not in record:
        return False
    names = record.keys()
    if not names.isdisjoint(_WHOLE_TRACE):
        return True
    if "type" not in names and not names.isdisjoint(_PROJECTS) and {"start_time", "startTime"} & names:
        return names.isdisjoint(_TRACE_IDS)
    return record.get("type") in ("llm", "general", "tool", "guardrail") and bool(
        record.keys() & {"trace_id", "traceId", "project_id", "project_name"}
    )


def read_opik(record: Mapping[str, Any]) -> PartialCall:
    """Read a span of a model; raises NotARecordedCall for a trace and for other spans."""
    kind = record.get("type")
    if kind is None:
        raise NotARecordedCall("a whole trace of an agent, not a call: export its spans of type llm")
    if kind != "llm":
        raise NotARecordedCall(f"a span of type {str(kind)[:40]!r}, not of a model")
    given = parse_embedded_json(record.get("input"))
    body = read_body(given) if isinstance(given, dict) else Body(given, {})
    metadata, output = as_mapping(record.get("metadata")), as_mapping(record.get("output"))
    usage = as_mapping(record.get("usage"))
    began = parse_time(record.get("start_time", record.get("startTime")))
    original = as_mapping(nest_attributes(usage).get("original_usage"))
    return PartialCall(
        messages=body.messages,
        answer=output["output"] if output.keys() == {"output"} else record.get("output"),
        request={**body.fields, **{key: value for key, value in metadata.items() if key not in body.fields}},
        model=as_text(record.get("model")) or as_text(metadata.get("model")) or "",
        usage=(parse_usage(original) if original else None) or find_usage(usage),
        cost=parse_cost(record.get("total_estimated_cost"), record.get("totalEstimatedCost")),
        at=began,
        task=find_task(metadata),
        tags=parse_tags(metadata) | parse_tags(record.get("tags")),
        latency_ms=duration_ms_until(record.get("end_time", record.get("endTime")), began),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata) or find_id(("thread_id", "threadid"), record, metadata),
        trace=find_id(("trace_id", "traceid"), record),
        evidence=({"error": record.get("error_info", record.get("errorInfo"))},),
        span=find_id(("id",), record),
        parent=find_id(("parent_span_id", "parentspanid"), record),
    )
