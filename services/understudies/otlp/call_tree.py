"""Find calls around other calls as their spans arrive, so that one answer is not counted twice.

A library's call and the provider's call inside of it are both spans where both are instrumented. The inner one is the
call of the model. A span ends after those inside of it and is exported after them, so it is enough to remember which
spans have a call inside.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from understudies.importers.nesting import SpanKey

_MAX_SPANS: Final = 50_000


class CallTree:
    """Remembers the spans that are around calls; the oldest are forgotten first."""

    def __init__(self, capacity: int = _MAX_SPANS) -> None:
        self._capacity = capacity
        self._outer: dict[SpanKey, None] = {}

    def has_call_inside(self, span: Mapping[str, Any]) -> bool:
        """Return whether a call was added inside of a span."""
        return (span.get("traceId") or "", span.get("spanId")) in self._outer

    def add_call_inside(self, span: Mapping[str, Any]) -> None:
        """Add a span that is a call or has one inside: so has its parent."""
        if parent := span.get("parentSpanId"):
            self._outer[span.get("traceId") or "", parent] = None
            while len(self._outer) > self._capacity:
                del self._outer[next(iter(self._outer))]


def innermost_first(spans: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort spans so that each comes after those inside of it: by their end, and the later begun of two first."""
    return sorted(
        spans, key=lambda span: (_nanoseconds(span, "endTimeUnixNano"), -_nanoseconds(span, "startTimeUnixNano"))
    )


def _nanoseconds(span: Mapping[str, Any], name: str) -> int:
    value = span.get(name)
    try:
        return int(value) if isinstance(value, int | str) else 0
    except ValueError:
        return 0
