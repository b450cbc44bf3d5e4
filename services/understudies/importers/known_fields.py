"""List the fields by which formats are told: to read headers of tables, and to name the format nearest to a record."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "native transcripts": ("messages", "response", "model", "usage", "created", "task"),
    "Langfuse observations": (
        *("id", "traceId", "type", "name", "startTime", "endTime", "model", "modelParameters", "input", "output"),
        *("metadata", "level", "statusMessage", "parentObservationId", "promptName", "usageDetails", "costDetails"),
        *("calculatedTotalCost", "sessionId", "tags", "latency", "totalCost", "toolCalls", "toolDefinitions"),
        *("providedModelName", "trace_id", "start_time", "end_time", "usage_details", "cost_details", "total_cost"),
        *("provided_model_name", "model_parameters", "prompt_name", "session_id", "parent_observation_id"),
        *("tool_calls", "tool_definitions"),
    ),
    "LiteLLM spend logs": (
        *("request_id", "call_type", "spend", "startTime", "endTime", "model", "messages", "response", "metadata"),
        *("request_tags", "proxy_server_request", "prompt_tokens", "completion_tokens", "total_tokens", "cache_hit"),
        *("session_id", "status", "response_cost"),
    ),
    "Helicone requests": (
        *("request_id", "request_created_at", "response_created_at", "request_body", "response_body", "costUSD"),
        *("request_properties", "properties", "response_status", "delay_ms", "request_path", "request_model", "cost"),
    ),
    "Portkey logs": ("request", "response", "ai_model", "ai_org", "cost", "created_at", "is_success", "trace_id"),
    "LangSmith runs": (
        *("run_type", "inputs", "outputs", "extra", "start_time", "end_time", "error", "trace_id", "parent_run_id"),
        *("total_cost",),
    ),
    "Opik spans": ("type", "input", "output", "trace_id", "usage", "model", "total_estimated_cost", "start_time"),
    "Braintrust spans": (
        *("span_attributes", "root_span_id", "span_id", "input", "output", "metadata", "metrics", "span_parents"),
    ),
    "HoneyHive events": (
        *("event_type", "event_id", "event_name", "session_id", "inputs", "outputs", "config", "metadata", "duration"),
        *("parent_id", "children_ids", "user_properties"),
    ),
    "OpenAI Agents traces": ("span_data", "trace_id", "parent_id", "started_at", "ended_at", "workflow_name"),
    "OpenTelemetry spans": (
        *("attributes", "traceId", "spanId", "resourceSpans", "context.span_id", "context.trace_id"),
        *("span_kind", "parent_id", "status_code"),
    ),
    "Bedrock invocation logs": ("schemaType", "modelId", "operation", "input", "output", "timestamp"),
    "Vertex AI predictions": ("instance", "prediction"),
    "requests with responses": ("request", "response"),
    "prompts with completions": (
        *("prompt", "completion", "instruction", "output", "input", "question", "answer", "query", "response"),
        *("conversations", "system", "chosen", "rejected"),
    ),
}
"""The fields that each format has, under the names of its exports."""
COLUMNS: Final = frozenset(name for names in FIELDS.values() for name in names)
_MIN_SHARED: Final = 2
_UNITS: Final = ("($)", "(USD)", "(s)")
"""Units after the names of columns, in which values without them are taken to be too."""


def _squash(name: str) -> str:
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()


_BY_SQUASHED: Final = {_squash(name): name for names in reversed([*FIELDS.values()]) for name in reversed(names)}


def canonical_column(name: str) -> str:
    """Return the name that a known format has for a column, such as `traceId` for `Trace ID`, or the name itself."""
    bare = name.strip().strip('"').removeprefix("\ufeff")
    if bare.endswith(_UNITS):
        bare = bare.rpartition("(")[0].strip()
    return bare if bare in COLUMNS or "." in bare else _BY_SQUASHED.get(_squash(bare), bare)


def describe_unknown(record: Mapping[str, Any]) -> str:
    """Describe a record of no known form: what it has, the format that is nearest to it, and how to map its fields."""
    has = ", ".join(repr(str(name)[:30]) for name in list(record)[:8]) or "no fields"
    nearest = _nearest(record)
    return (
        f"no known form of a recorded call: looked for messages, or a request beside its answer, and saw {has}"
        f"{f'; the nearest format, {nearest}' if nearest else ''}"
        "; name the fields, as in --map messages=$.input --map answer=$.output"
    )


def _nearest(record: Iterable[str]) -> str | None:
    names = set(record)
    shared = {name: len(names.intersection(fields)) for name, fields in FIELDS.items()}
    best = max(shared, key=lambda name: shared[name])
    if shared[best] < _MIN_SHARED:
        return None
    missing = [field for field in FIELDS[best] if field not in names and field in _TELLING]
    return f"{best}, lacks {', '.join(missing[:3])}" if missing else best


_TELLING: Final = frozenset(
    {"messages", "input", "output", "response", "request_body", "response_body", "call_type", "run_type", "inputs"}
    | {"outputs", "attributes", "request", "completion", "prompt"}
)
