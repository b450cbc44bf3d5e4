"""Trace calls across topics, with W3C trace context in the message headers."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NoOpTracer, Span, SpanContext, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from understudies.runtime import span_names
from understudies.runtime.bus.messages import Record
from understudies.runtime.settings import TelemetrySettings

_MAX_LINKS = 32
_MAX_CALL_SPANS = 256
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class PresetIds(RandomIdGenerator):
    """Ids of spans: those that were announced before the span was made, else random ones."""

    def __init__(self) -> None:
        self._preset: SpanContext | None = None

    @contextmanager
    def preset(self, context: SpanContext) -> Iterator[None]:
        """Give the span that is started inside the ids of a context."""
        self._preset = context
        try:
            yield
        finally:
            self._preset = None

    def generate_span_id(self) -> int:
        """Return the announced id, or a random one."""
        return super().generate_span_id() if self._preset is None else self._preset.span_id

    def generate_trace_id(self) -> int:
        """Return the announced id, or a random one."""
        return super().generate_trace_id() if self._preset is None else self._preset.trace_id


class Telemetry:
    """Tracer of one service; several services in one process each have their own."""

    def __init__(self, settings: TelemetrySettings, service: str) -> None:
        self._provider: TracerProvider | None = None
        self.tracer: Tracer = NoOpTracer()
        if settings.otlp_endpoint is not None:
            exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
            resource = Resource.create({SERVICE_NAME: f"understudies-{service}"})
            self._provider = TracerProvider(resource=resource, id_generator=PresetIds())
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
            self.tracer = self._provider.get_tracer("understudies")

    def shutdown(self) -> None:
        """Export the remaining spans; blocks."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_headers() -> dict[str, str]:
    """Return the headers that carry the current trace; empty outside a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


@contextmanager
def batch_span(tracer: Tracer, service: str, records: Sequence[Record]) -> Iterator[Span]:
    """Open a span for a handled batch: continue the messages' trace if they share one, else link their traces."""
    if isinstance(tracer, NoOpTracer):
        yield trace.INVALID_SPAN
        return
    contexts = _span_contexts(records)
    began = time.time_ns()
    parent = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0])) if len(contexts) == 1 else None
    links = [Link(context) for context in contexts]
    attributes: dict[str, AttributeValue] = {
        span_names.MESSAGING_SYSTEM: "kafka",
        span_names.MESSAGING_OPERATION: "process",
        span_names.MESSAGING_BATCH_SIZE: len(records),
        span_names.MESSAGING_DESTINATION: ",".join(sorted({record.topic for record in records})),
        span_names.MESSAGING_GROUP: service,
    }
    name = f"{span_names.PROCESS} {service}"
    with tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes, links[:_MAX_LINKS]) as span:
        yield span
    if len(contexts) > 1:
        _add_call_spans(tracer, name, contexts, attributes, span.get_span_context(), began)


def _add_call_spans(
    tracer: Tracer,
    name: str,
    contexts: Sequence[SpanContext],
    attributes: Mapping[str, AttributeValue],
    batch: SpanContext,
    began: int,
) -> None:
    """Add the batch to the trace of each of its calls: a span that links the batch's own."""
    ended = time.time_ns()
    for context in contexts:
        if context.trace_flags.sampled:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(context))
            tracer.start_span(name, parent, SpanKind.CONSUMER, attributes, [Link(batch)], start_time=began).end(ended)


def parse_traceparent(header: str | None) -> SpanContext | None:
    """Return the span context of a header; None if it is none."""
    if header is None or not _TRACEPARENT.fullmatch(header):
        return None
    return trace.get_current_span(_PROPAGATOR.extract({"traceparent": header})).get_span_context()


def format_traceparent(context: SpanContext) -> str:
    """Return the header of a span context."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


@contextmanager
def continued_span(
    tracer: Tracer, name: str, traceparent: str | None, attributes: Mapping[str, AttributeValue]
) -> Iterator[None]:
    """Open a span of a decision in the trace of the call that led to it; what is published inside continues it."""
    if isinstance(tracer, NoOpTracer):
        yield
        return
    context = parse_traceparent(traceparent)
    parent = None if context is None else trace.set_span_in_context(trace.NonRecordingSpan(context))
    with tracer.start_as_current_span(name, parent, SpanKind.INTERNAL, attributes):
        yield


def _span_contexts(records: Sequence[Record]) -> list[SpanContext]:
    """Return one span context for each distinct trace among the records, at most 256."""
    contexts: dict[int, SpanContext] = {}
    for parent in dict.fromkeys(value for record in records for key, value in record.headers if key == "traceparent"):
        carrier = {"traceparent": parent.decode("ascii", "replace")}
        context = trace.get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
        if context.is_valid:
            contexts.setdefault(context.trace_id, context)
        if len(contexts) == _MAX_CALL_SPANS:
            break
    return list(contexts.values())
