"""Make the span of each call, whose trace the events of the call carry on to the other services."""

import hashlib
import uuid
from datetime import timedelta
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.util.types import AttributeValue

from understudies.router.call import Call
from understudies.router.serving.outcome import CallOutcome
from understudies.runtime import span_names
from understudies.runtime.telemetry import PresetIds, format_traceparent, parse_traceparent

_PROVIDERS: Final = {"messages": "anthropic"}
_FAILED: Final = 400


class CallTracer:
    """Announces the trace context of a call at its begin, for its events, and makes its span at its end.

    Without a tracer that exports spans, the events carry on the context of the caller, if that sent one.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer if isinstance(tracer, SdkTracer) and isinstance(tracer.id_generator, PresetIds) else None

    def begin(self, call_id: str, traceparent: str | None) -> str | None:
        """Return the trace context for the events of a call, in the caller's trace if its header names one."""
        parent = None if traceparent is None else parse_traceparent(traceparent)
        if self._tracer is None:
            return None if parent is None else traceparent
        trace_id = uuid.UUID(call_id).int if parent is None else parent.trace_id
        context = None if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent))
        decision = self._tracer.sampler.should_sample(context, trace_id, span_names.CHAT).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return format_traceparent(SpanContext(trace_id, _span_id(call_id), is_remote=False, trace_flags=flags))

    def end(self, outcome: CallOutcome, traceparent: str | None) -> None:
        """Make the span of a call; `traceparent` is the header that the caller sent."""
        if self._tracer is None:
            return
        context, generator = parse_traceparent(outcome.call.traceparent), self._tracer.id_generator
        if context is None or not isinstance(generator, PresetIds):
            return
        call = outcome.call
        parent = parse_traceparent(traceparent)
        began = int(call.at.timestamp() * 1_000_000) * 1000
        with generator.preset(context):
            span = self._tracer.start_span(
                f"{span_names.CHAT} {call.model}".rstrip(),
                None if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent)),
                SpanKind.CLIENT if outcome.served_by == "teacher" else SpanKind.INTERNAL,
                _attributes(outcome),
                start_time=began,
            )
        if outcome.status >= _FAILED or outcome.interrupted:
            span.set_attribute(span_names.ERROR_TYPE, outcome.reason)
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + timedelta(seconds=outcome.seconds) // timedelta(microseconds=1) * 1000)


def _span_id(call_id: str) -> int:
    """Return the id of a call's span, which no two calls share."""
    return int.from_bytes(hashlib.blake2b(call_id.encode(), digest_size=8).digest(), "big") or 1


def _attributes(outcome: CallOutcome) -> dict[str, AttributeValue]:
    """Return the attributes of a call's span; never a prompt, an answer or a key."""
    call, fields = outcome.call, outcome.pending.fields
    found: dict[str, AttributeValue | None] = {
        span_names.GEN_AI_OPERATION: span_names.CHAT,
        span_names.GEN_AI_PROVIDER: provider_of(call, outcome.served_by),
        span_names.GEN_AI_REQUEST_MODEL: call.model or None,
        span_names.GEN_AI_RESPONSE_MODEL: fields.get("model"),
        span_names.GEN_AI_STREAM: call.stream or None,
        span_names.GEN_AI_FIRST_CHUNK: outcome.first_byte_s,
        span_names.TASK: call.task,
        span_names.TENANT: call.tenant,
        span_names.INVOCATION: call.id,
        span_names.SERVED_BY: outcome.served_by,
        span_names.REASON: outcome.reason,
        span_names.STUDENT: fields.get("student"),
        span_names.CONFIDENCE: fields.get("confidence"),
        span_names.COST_USD: float(fields.get("cost_usd") or 0),
    }
    usage = fields.get("usage")
    if usage is not None:
        details = usage.details
        found |= {
            span_names.GEN_AI_INPUT_TOKENS: usage.prompt_tokens,
            span_names.GEN_AI_OUTPUT_TOKENS: usage.completion_tokens,
            span_names.GEN_AI_CACHE_READ_TOKENS: usage.cached_tokens or None,
            span_names.GEN_AI_CACHE_WRITE_TOKENS: (details.cache_write_tokens or None) if details else None,
        }
    return {name: value for name, value in found.items() if value is not None}


def provider_of(call: Call, served_by: str) -> str:
    """Return the provider of an answer as the conventions name it: that of the API, or this product for a student."""
    return _PROVIDERS.get(call.api, "openai") if served_by in ("teacher", "none") else "understudies"
