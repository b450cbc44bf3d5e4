"""Read spans of calls of models: OpenTelemetry GenAI, OpenLLMetry, OpenInference, the AI SDK, MLflow."""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from understudies.dialects.json_fields import list_objects
from understudies.events import Usage
from understudies.importers.answer_rule import check_outcome
from understudies.importers.bodies import rename_parameters
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
from understudies.importers.json_parsing import OtherKind, WithoutContent
from understudies.importers.otlp import read_attributes
from understudies.importers.partial_call import PartialCall
from understudies.importers.span_attributes import NestedAttributes, as_items, find, first_found, nest_attributes
from understudies.importers.span_messages import read_said
from understudies.importers.tools import write_tool_choice, write_tools
from understudies.importers.usage import NO_USAGE, parse_usage

_PREFIXES: Final = (
    *(
        "gen_ai.",
        "llm.",
        "openinference.",
        "ai.",
        "traceloop.",
        "mlflow.",
        "input.value",
        "output.value",
        "request_data",
    ),
    *("gen_ai", "llm", "openinference", "langfuse.", "gcp.vertex.agent."),
)
_PLACES: Final = frozenset({"spanId", "span_id", "context", "context.span_id", "traceId", "trace_id"})
_CHAT_OPERATIONS: Final = frozenset(
    {"chat", "text_completion", "generate_content", "completion", "chat_completion", "llm", "chat_model", "responses"}
    | {"message", "messages", "generate", "generation"}
)
_KINDS: Final = (
    *("gen_ai.operation.name", "openinference.span.kind", "mlflow.spanType", "llm.request.type"),
    *("traceloop.span.kind", "langfuse.observation.type"),
)
_OTHER_OPERATION: Final = re.compile(r"ai\.(?:embed|toolCall|transcribe|rerank|generate(?:Image|Speech))")
_INNER_OPERATION: Final = re.compile(r"ai\.\w+\.do\w+")
_MODELS: Final = (
    *("gen_ai.response.model", "llm.response.model", "llm.response.model_name", "ai.response.model", "llm.model_name"),
    *(
        "gen_ai.request.model",
        "llm.request.model",
        "llm.request.model_name",
        "ai.model.id",
        "langfuse.observation.model.name",
    ),
)
_SESSIONS: Final = (
    *("gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id"),
    *(
        "gcp.vertex.agent.session_id",
        "ai.telemetry.metadata.sessionId",
        "thread_id",
        "ai.telemetry.metadata.threadId",
        "mlflow.trace.session",
    ),
)
_TASKS: Final = (
    *("understudies.task", "task", "ai.telemetry.functionId", "gen_ai.prompt.name", "langfuse.observation.prompt.name"),
    *("llm.prompt_template.name", "traceloop.association.properties.task", "gen_ai.agent.name"),
)
_PROMPT_COUNTS: Final = (
    *("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
    *("ai.usage.inputTokens", "ai.usage.promptTokens", "mlflow.chat.tokenUsage.input_tokens"),
)
_COMPLETION_COUNTS: Final = (
    *("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    *("llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
    *("mlflow.chat.tokenUsage.output_tokens",),
)
_CACHED_COUNTS: Final = (
    *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cached_tokens"),
    *("gen_ai.usage.input_tokens.cached", "llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens"),
    *("gen_ai.usage.details.cache_read_tokens", "llm.usage.cache_read_input_tokens"),
)
_WRITTEN_COUNTS: Final = (
    *("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
    *("llm.token_count.prompt_details.cache_write", "gen_ai.usage.details.cache_write_tokens"),
)
_TOTALS: Final = (
    "gen_ai.usage.total_tokens",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
)
_PARAMETERS: Final = (
    *("gen_ai.request", "ai.settings", "llm.invocation_parameters", "model_request_parameters"),
    *("langfuse.observation.model.parameters",),
)
_TOOLS: Final = (
    *("gen_ai.tool.definitions", "gen_ai.request.tools", "ai.prompt.tools", "mlflow.chat.tools"),
    *("llm.tools", "llm.request.functions", "model_request_parameters"),
)
"""Where tools are defined; the last three hold other forms than the rest."""
_METADATA: Final = ("metadata", "ai.telemetry.metadata", "langfuse.trace.metadata", "langfuse.observation.metadata")
_BUCKETS: Final = "langfuse.observation.usage_details"
_COSTS: Final = ("gen_ai.usage.cost", "llm.cost.total", "gen_ai.cost.total_cost", "operation.cost")
_COST_DETAILS: Final = "langfuse.observation.cost_details"
_FINISHES: Final = (
    *("gen_ai.response.finish_reasons", "ai.response.finishReason", "ai.finishReason", "gen_ai.response.finish_reason"),
    *("llm.response.finish_reason", "llm.finish_reason"),
)
_TIERS: Final = (
    *("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
    *("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
)
_OUTPUT_TYPE: Final = "gen_ai.output.type"
_OTHER_OUTPUTS: Final = ("image", "speech")
_AUDIO_COUNTS: Final = {
    "prompt_audio_tokens": "llm.token_count.prompt_details.audio",
    "completion_audio_tokens": "llm.token_count.completion_details.audio",
}
_FORMAT: Final = "gen_ai.openai.request.response_format"
"""What was asked for, in the conventions before 1.31; of a schema it tells nothing but its kind."""
_RENAMED: Final = (("n", "gen_ai.request.choice.count"), ("seed", "gen_ai.openai.request.seed"))
"""Parameters of chats that have other names there."""
_FAILED_CODES: Final = frozenset({"2", "error", "status_code_error", "statuscode.error"})


def is_span(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a span with attributes of a known instrumentation."""
    attributes = record.get("attributes")
    if attributes is None:
        return "context.span_id" in record and any(name.startswith("attributes.") for name in record)
    if not isinstance(attributes, (dict, list)):
        return False
    if record.keys().isdisjoint(_PLACES):
        return False
    return "span_kind" in record or _are_instrumented(tuple(read_attributes(attributes)))


@lru_cache(maxsize=1024)
def _are_instrumented(names: tuple[str, ...]) -> bool:
    """Return whether attributes of these names are a known instrumentation's."""
    return any(name.startswith(_PREFIXES) for name in names)


def read_span(record: Mapping[str, Any]) -> PartialCall:
    """Read a span of a call of a chat model; raises NotARecordedCall for any other."""
    attributes = read_attributes(record.get("attributes")) or {
        name.removeprefix("attributes."): value for name, value in record.items() if name.startswith("attributes.")
    }
    nested = nest_attributes(attributes)
    context = as_mapping(record.get("context"))
    operation = as_text(find(nested, "ai.operationId")) or as_text(find(nested, "operation.name")) or ""
    if _OTHER_OPERATION.match(operation):
        raise OtherKind(f"a span of kind {operation[:40]!r}, not a call of a chat model")
    is_inner = _INNER_OPERATION.search(operation) is not None
    wraps = operation.startswith("ai.") and not is_inner
    _check_kind(nested, record, is_known=is_inner or wraps)
    if nested.layout[_OUTPUT_TYPE] and (output := find(nested, _OUTPUT_TYPE)) in _OTHER_OUTPUTS:
        raise OtherKind(f"a span of a call for {output}, not a call of a chat model")
    events = _read_events(record["events"]) if record.get("events") else []
    check_outcome(_read_failure(record, nested))
    said = read_said(nested, events)
    if not said.messages:
        raise WithoutContent(
            "a span without its messages: let the instrumentation capture the content"
            " (OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true)"
        )
    start = first_not_none(record.get("startTimeUnixNano"), record.get("start_time"), record.get("startTime"))
    began = parse_time(start)
    end = first_not_none(record.get("endTimeUnixNano"), record.get("end_time"), record.get("endTime"))
    metadata = {
        name: value for path in nested.layout.among(_METADATA) for name, value in as_mapping(find(nested, path)).items()
    }
    return PartialCall(
        messages=said.messages,
        answer=said.answer,
        request=_read_parameters(nested, said.fields),
        model=as_text(first_found(nested, _MODELS)) or "",
        usage=_read_usage(nested),
        cost=_read_cost(nested),
        at=began,
        task=as_text(first_found(nested, _TASKS)) or find_task(metadata),
        tags=parse_tags(metadata)
        | parse_tags(find(nested, "tag.tags"))
        | parse_tags(find(nested, "langfuse.trace.tags")),
        latency_ms=duration_ms_until(end, began),
        critical=as_flag(metadata.get("critical")),
        episode=find_id(("episode",), metadata) or find_id(("id",), {"id": first_found(nested, _SESSIONS)}),
        trace=find_id(("traceid", "trace_id", "context.trace_id"), context, record),
        span=find_id(("spanid", "span_id", "context.span_id"), context, record),
        parent=find_id(("parentspanid", "parent_span_id", "parent_id"), record),
        wraps=wraps,
        finish_reason=first_found(nested, _FINISHES),
        tier=as_text(first_found(nested, _TIERS)) or "",
    )


def _read_events(events: object) -> list[dict[str, Any]]:
    return [
        {"name": event.get("name"), "attributes": told, "nested": nest_attributes(told)}
        for event in as_items(events)
        if isinstance(event, dict)
        for told in [read_attributes(event.get("attributes"))]
    ]


def _check_kind(nested: NestedAttributes, record: Mapping[str, Any], *, is_known: bool) -> None:
    if is_known:
        return
    kinds = [kind for path in nested.layout.among(_KINDS) if (kind := as_text(find(nested, path))) is not None]
    named = as_text(record.get("span_kind"))
    told = [kind.strip('"').lower() for kind in (*kinds, *([named] if named else []))]
    if not told or any(kind in _CHAT_OPERATIONS for kind in told):
        return
    if told == ["unknown"] or told == ["internal"]:
        return
    raise OtherKind(f"a span of kind {told[0][:40]!r}, not a call of a chat model")


def _read_failure(record: Mapping[str, Any], nested: NestedAttributes) -> dict[str, Any]:
    status = as_mapping(record.get("status"))
    code = first_not_none(status.get("code"), status.get("status_code"), record.get("status_code"))
    failed = str(code).lower() in _FAILED_CODES
    message = first_not_none(status.get("message"), record.get("status_message"), status.get("description"))
    return {
        "error": (message or "status ERROR") if failed else find(nested, "error.type"),
        "level": find(nested, "langfuse.observation.level"),
        "finish_reason": first_found(nested, _FINISHES),
    }


def _read_parameters(nested: NestedAttributes, fields: Mapping[str, Any]) -> dict[str, Any]:
    among = nested.layout.among
    given = {name: value for path in among(_PARAMETERS) for name, value in as_mapping(find(nested, path)).items()}
    parameters = {**fields, **rename_parameters(given)}
    parameters |= {name: value for name, path in _RENAMED if among((path,)) and (value := find(nested, path))}
    if find(nested, _OUTPUT_TYPE) == "json" or (nested.layout[_FORMAT] and find(nested, _FORMAT) == "json_object"):
        parameters.setdefault("response_format", {"type": "json_object"})
    if not among(_TOOLS):
        return parameters
    tools = first_found(nested, _TOOLS[:-3])
    listed = [find(as_mapping(tool), "tool.json_schema") or tool for tool in as_items(find(nested, "llm.tools"))]
    functions = [as_mapping(tool) for tool in as_items(find(nested, "llm.request.functions"))]
    functions += list_objects(as_mapping(find(nested, "model_request_parameters")).get("function_tools"))
    if written := write_tools(tools) or write_tools(listed) or write_tools([{"toolSpec": tool} for tool in functions]):
        parameters["tools"] = written
    if (choice := write_tool_choice(find(nested, "ai.prompt.toolChoice"))) is not None:
        parameters["tool_choice"] = choice
    return parameters


def _read_cost(nested: NestedAttributes) -> Decimal | None:
    cost = parse_cost(first_found(nested, _COSTS))
    return cost if cost is not None else parse_cost(as_mapping(find(nested, _COST_DETAILS)).get("total"))


def _read_usage(nested: NestedAttributes) -> Usage:
    """Read the usage, whose input tokens include those read from a cache."""
    counts = {
        "prompt_tokens": first_found(nested, _PROMPT_COUNTS),
        "completion_tokens": first_found(nested, _COMPLETION_COUNTS),
        "cached_tokens": first_found(nested, _CACHED_COUNTS),
        "cache_write_tokens": first_found(nested, _WRITTEN_COUNTS),
        "total_tokens": first_found(nested, _TOTALS),
    }
    counts |= {name: find(nested, path) for name, path in _AUDIO_COUNTS.items() if nested.layout[path]}
    usage = parse_usage(counts)
    if usage is None and nested.layout[_BUCKETS]:
        usage = parse_usage(as_mapping(find(nested, _BUCKETS)), buckets=True)
    return usage or NO_USAGE
