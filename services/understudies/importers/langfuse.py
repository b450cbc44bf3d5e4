"""Read exports of Langfuse: observations of type GENERATION."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from understudies.dialects.json_fields import text_or_empty
from understudies.events import Usage
from understudies.importers.bodies import Body, read_body, rename_parameters
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
from understudies.importers.tools import write_tool_choice, write_tools
from understudies.importers.usage import NO_USAGE, find_usage, parse_usage

_TYPES: Final = frozenset(
    {"GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL"}
)
_TRACE_KEYS: Final = frozenset(
    {"bookmarked", "public", "htmlPath", "observations", "observationCount", "observation_count"}
)
"""Fields of which each export of whole traces has one, and none of observations."""
_OBSERVATION_KEYS: Final = (
    *("traceId", "trace_id", "usageDetails", "usage_details", "costDetails", "cost_details"),
    *("startTime", "start_time", "parentObservationId", "parent_observation_id"),
)
_DEFAULT_NAME: Final = re.compile(
    r"(?i)anthropic-generation|openai-generation|(?:azure)?chat\w*|chat[ .]\S+|completion|generation|llm|litellm-\w+"
    r"|(?:generate_content|text_completion|embeddings) \S+|ai\.(?:generate|stream)(?:text|object)(?:\.do\w+)?"
    r"|(?:messages|responses|completions)\.(?:create|parse|stream)|response"
)
"""Names that libraries give to all calls of a model."""
_WRAPPER_NAME: Final = re.compile(r"ai\.(?:generate|stream)(?:Text|Object)")
"""Names of the AI SDK's spans around the calls that one of its functions makes."""
_TOKENS: Final = "TOKENS"
"""The unit of counts that have a price; others are characters, images, seconds and requests."""


def is_langfuse(record: Mapping[str, Any]) -> bool:
    """Return whether the record is an observation."""
    if text_or_empty(record.get("type")) in _TYPES or _is_trace(record):
        return True
    return "input" in record and "output" in record and any(mark in record for mark in _OBSERVATION_KEYS)


def read_langfuse(record: Mapping[str, Any]) -> PartialCall:
    """Read a generation; raises NotARecordedCall.

    Its task comes from its metadata, its prompt or its own name, unless that name is a library's default.
    """
    if _is_trace(record):
        raise NotARecordedCall("a whole trace of an agent, not a call: export its observations")
    if (kind := str(record.get("type") or "GENERATION")).upper() != "GENERATION":
        raise NotARecordedCall(f"an observation of type {kind[:40]}, not a generation")
    asked = _read_input(parse_embedded_json(record.get("input")))
    metadata = as_mapping(record.get("metadata"))
    attributes = as_mapping(metadata.get("attributes"))
    began = parse_time(first_not_none(record.get("startTime"), record.get("start_time")))
    end = first_not_none(record.get("endTime"), record.get("end_time"))
    name = as_text(record.get("name"))
    return PartialCall(
        messages=asked.messages,
        answer=record.get("output") or None,
        request=_request_fields(record, asked, metadata),
        tool_calls=_find_calls(record),
        model=_find_model(record),
        usage=_find_usage(record),
        cost=_find_cost(record),
        at=began,
        task=find_task(metadata)
        or as_text(attributes.get("ai.telemetry.functionId"))
        or as_text(first_not_none(record.get("promptName"), record.get("prompt_name")))
        or (None if name is None or _DEFAULT_NAME.fullmatch(name) else name),
        tags=parse_tags(metadata) | parse_tags(record.get("tags")),
        latency_ms=first_not_none(duration_ms_until(end, began), _seconds(record.get("latency"))),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata)
        or find_id(("sessionid", "session_id"), record, metadata)
        or find_id(("thread_id", "langfuse_session_id", "conversation_id"), metadata),
        trace=find_id(("traceid", "trace_id"), record),
        evidence=({"level": record.get("level")},),
        span=find_id(("id",), record),
        parent=find_id(("parentobservationid", "parent_observation_id"), record),
        finish_reason=first_not_none(
            as_mapping(first_not_none(record.get("modelParameters"), record.get("model_parameters"))).get(
                "finishReason"
            ),
            attributes.get("ai.response.finishReason"),
        ),
        wraps=name is not None and _WRAPPER_NAME.fullmatch(name) is not None,
    )


def _is_trace(record: Mapping[str, Any]) -> bool:
    names = record.keys()
    return "type" not in names and "input" in names and "output" in names and not names.isdisjoint(_TRACE_KEYS)


def _read_input(asked: object) -> Body:
    if not isinstance(asked, dict):
        return Body(asked, {})
    kwargs = asked.get("kwargs")
    if isinstance(kwargs, dict) and "args" in asked:  # a decorated function
        given, asked = asked["args"], kwargs
        if read_body(asked).messages is None and isinstance(given, list) and len(given) == 1:
            return Body(given[0], asked)
    body = read_body(asked)
    return Body(asked, {}) if body.messages is None or "role" in asked else body


def _request_fields(record: Mapping[str, Any], asked: Body, metadata: Mapping[str, Any]) -> dict[str, Any]:
    given = as_mapping(first_not_none(record.get("modelParameters"), record.get("model_parameters")))
    # Here `system` names the provider, in the AI SDK's records.
    fields = dict(asked.fields)
    for name, value in rename_parameters(given).items() if given else ():
        if name not in ("system", "input"):
            fields[name] = value
    if "response_format" not in fields and (wanted := _wanted_format(metadata.get("response_format"))):
        fields["response_format"] = wanted
    for tools in (
        fields.get("tools"),
        first_not_none(record.get("toolDefinitions"), record.get("tool_definitions")),
        metadata.get("tools"),
        as_mapping(metadata.get("attributes")).get("ai.prompt.tools"),
    ):
        if tools and (written := write_tools(tools)):
            fields["tools"] = written
            break
    choice = write_tool_choice(as_mapping(metadata.get("attributes")).get("ai.prompt.toolChoice"))
    return fields if choice is None else {**fields, "tool_choice": choice}


def _wanted_format(given: object) -> dict[str, Any]:
    """Return the format that Langfuse's client of OpenAI keeps in the metadata, as a schema where a class was given."""
    wanted = as_mapping(given)
    if "properties" not in wanted:
        return dict(wanted) if isinstance(wanted.get("type"), str) else {}
    schema = {"name": as_text(wanted.get("title")) or "answer", "schema": dict(wanted)}
    return {"type": "json_schema", "json_schema": schema}


def _find_calls(record: Mapping[str, Any]) -> list[Any]:
    calls = first_not_none(record.get("toolCalls"), record.get("tool_calls"))
    return [parse_embedded_json(call) for call in _as_list(calls)] if calls else []


def _find_model(record: Mapping[str, Any]) -> str:
    for key in ("model", "providedModelName", "provided_model_name", "internalModel", "model_name"):
        if key in record and (name := as_text(record[key])):
            return name
    return ""


def _find_usage(record: Mapping[str, Any]) -> Usage:
    counted = as_mapping(record.get("usage"))
    unit = as_text(first_not_none(counted.get("unit"), record.get("unit"))) or _TOKENS
    if unit.upper() != _TOKENS:
        return NO_USAGE
    buckets = as_mapping(first_not_none(record.get("usageDetails"), record.get("usage_details")))
    usage = parse_usage(buckets, buckets=True) if buckets else None
    return usage or find_usage(counted, record)


def _find_cost(record: Mapping[str, Any]) -> Decimal | None:
    costs = as_mapping(first_not_none(record.get("costDetails"), record.get("cost_details")))
    cost = parse_cost(
        costs.get("total"),
        record.get("totalCost"),
        record.get("total_cost"),
        record.get("calculatedTotalCost"),
        record.get("calculated_total_cost"),
        as_mapping(record.get("usage")).get("totalCost"),
    )
    if cost is not None or not costs:
        return cost
    parts = [part for value in costs.values() if (part := parse_cost(value)) is not None]
    return sum(parts, Decimal(0)) if parts else None


def _seconds(value: object) -> float | None:
    seconds = as_number(value)
    return None if seconds is None else seconds * 1000


def _as_list(value: object) -> list[Any]:
    inner = parse_embedded_json(value)
    return inner if isinstance(inner, list) else []
