"""Trace calls across topics, with W3C trace context in the message headers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NoOpTracer, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from understudies.runtime import span_names
from understudies.runtime.bus.messages import Record
from understudies.runtime.settings import TelemetrySettings

_MAX_LINKS = 32
_PROPAGATOR = TraceContextTextMapPropagator()


class Telemetry:
    """Tracer of one service; several services in one process each have their own."""

    def __init__(self, settings: TelemetrySettings, service: str) -> None:
        self._provider: TracerProvider | None = None
        self.tracer: Tracer = NoOpTracer()
        if settings.otlp_endpoint is not None:
            exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces")
            self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"understudies-{service}"}))
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
    with tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes, links) as span:
        yield span


def _span_contexts(records: Sequence[Record]) -> list[trace.SpanContext]:
    """Return one span context for each distinct trace among the records, at most 32."""
    contexts: dict[int, trace.SpanContext] = {}
    for parent in dict.fromkeys(value for record in records for key, value in record.headers if key == "traceparent"):
        carrier = {"traceparent": parent.decode("ascii", "replace")}
        context = trace.get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
        if context.is_valid:
            contexts.setdefault(context.trace_id, context)
        if len(contexts) == _MAX_LINKS:
            break
    return list(contexts.values())
