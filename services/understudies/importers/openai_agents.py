"""Read traces as the OpenAI Agents SDK exports them: spans of type `generation` are calls.

Spans of type `response` name a stored response by its id, and none of them tells the tools that were offered.
"""

from collections.abc import Mapping
from typing import Any

from understudies.dialects.json_fields import list_objects
from understudies.importers.fields import as_mapping, as_text, duration_ms_until, find_id, parse_time
from understudies.importers.json_parsing import NotARecordedCall, OtherKind
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import NO_USAGE, parse_usage


def is_openai_agents(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a trace or a span of one."""
    return (record.get("object") == "trace.span" and isinstance(record.get("span_data"), dict)) or (
        record.get("object") == "trace" and "workflow_name" in record
    )


def read_openai_agents(record: Mapping[str, Any]) -> PartialCall:
    """Read a span of a model; raises NotARecordedCall for a trace and other spans."""
    about = as_mapping(record.get("span_data"))
    kind = about.get("type", "trace")
    if kind == "response":
        raise NotARecordedCall(
            "a span that names its response alone: the content of Responses is in no export of the Agents SDK, but"
            " docs/integrations.md says how to record it"
        )
    if kind != "generation":
        raise OtherKind(f"a span of type {str(kind)[:40]!r}, not of a model")
    began = parse_time(record.get("started_at"))
    return PartialCall(
        messages=about.get("input"),
        answer=_find_answer(about.get("output")),
        request=as_mapping(about.get("model_config")),
        model=as_text(about.get("model")) or "",
        usage=parse_usage(as_mapping(about.get("usage"))) or NO_USAGE,
        at=began,
        latency_ms=duration_ms_until(record.get("ended_at"), began),
        trace=find_id(("trace_id",), record),
        evidence=({"error": record.get("error")},),
        must_be_reply=True,
        span=find_id(("id",), record),
        parent=find_id(("parent_id",), record),
    )


def _find_answer(output: object) -> object:
    """Return the reply that a span put out: the message of a chat, or the whole response of a stream."""
    said = [*list_objects(output)]
    if len(said) != 1:
        return None
    (reply,) = said
    return reply if reply.get("object") == "response" else {"choices": [{"index": 0, "message": reply}]}
