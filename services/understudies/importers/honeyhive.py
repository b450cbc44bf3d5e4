"""Read events of HoneyHive: those of type `model` are calls."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.bodies import read_body, rename_parameters
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
from understudies.importers.json_parsing import OtherKind
from understudies.importers.partial_call import PartialCall
from understudies.importers.tools import write_tools
from understudies.importers.usage import NO_USAGE, parse_usage

_KINDS: Final = ("model", "tool", "chain", "session")
_PLACES: Final = frozenset({"event_id", "session_id", "event_name"})
_SENT: Final = frozenset({"project", "messages", "response"})
_CONFIGURED: Final = ("response_format", "tool_choice", "reasoning_effort")


def is_honeyhive(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an event, or that of a model as it is sent; other logs have some of these fields."""
    return (
        record.get("event_type") in _KINDS
        and not _PLACES.isdisjoint(record)
        and ("inputs" in record or record.keys() >= _SENT)
    )


def read_honeyhive(record: Mapping[str, Any]) -> PartialCall:
    """Read an event of a model; raises NotARecordedCall for others."""
    if (kind := record["event_type"]) != "model":
        raise OtherKind(f"an event of type {kind!r}, not of a model")
    inputs, config = as_mapping(record.get("inputs")), as_mapping(record.get("config"))
    metadata = as_mapping(record.get("metadata"))
    body = read_body(inputs)
    given = {**config, **as_mapping(first_not_none(config.get("hyperparameters"), record.get("hyperparameters")))}
    fields = {**rename_parameters(given), **body.fields}
    fields |= {name: record[name] for name in _CONFIGURED if record.get(name) is not None}
    offered = (inputs.get("functions"), inputs.get("tools"), config.get("tools"), record.get("tools"))
    written = (tools for value in offered if (tools := write_tools(value)))
    if found := next(written, []):
        fields["tools"] = found
    return PartialCall(
        messages=first_not_none(record.get("messages"), body.messages),
        answer=_find_answer(record),
        request=fields,
        model=as_text(first_not_none(record.get("model"), config.get("model"), metadata.get("model"))) or "",
        usage=parse_usage(as_mapping(record.get("usage"))) or parse_usage(metadata) or NO_USAGE,
        cost=parse_cost(record.get("cost"), metadata.get("cost"), metadata.get("total_cost")),
        at=parse_time(record.get("start_time")),
        task=find_task(metadata) or find_task(as_mapping(record.get("user_properties"))),
        tags=parse_tags(metadata),
        latency_ms=as_number(record.get("duration")),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata) or find_id(("session_id",), record),
        evidence=({"error": record.get("error")},),
        span=find_id(("event_id",), record),
        parent=find_id(("parent_id",), record),
        finish_reason=metadata.get("finish_reason"),
    )


def _find_answer(record: Mapping[str, Any]) -> object:
    """Return what a model put out: a message, whole or by its parts, a reply, or text under the name of the content."""
    told = first_not_none(record.get("outputs"), record.get("response"))
    outputs = as_mapping(told)
    if not outputs:
        return told if isinstance(told, str) else record.get("response")
    if isinstance(response := outputs.get("response"), dict):  # as events are stored that were sent as a model's
        outputs = response
    if isinstance(messages := outputs.get("messages"), list) and messages:
        return messages[-1]
    if "role" in outputs and "choices" not in outputs:
        return {"choices": [{"index": 0, "message": outputs, "finish_reason": outputs.get("finish_reason")}]}
    return outputs
