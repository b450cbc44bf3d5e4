"""Read the caller's W3C trace context if the agent uses OpenTelemetry."""

import importlib
from typing import Any


def _load_opentelemetry() -> Any:
    try:
        return importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None


_TRACE = _load_opentelemetry()


def current_traceparent() -> str | None:
    """Return the `traceparent` of the current span, or None outside a trace."""
    if _TRACE is None:
        return None
    context = _TRACE.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
