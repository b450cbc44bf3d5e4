"""Flatten traces of Jaeger into spans with plain attributes."""

from collections.abc import Iterator, Mapping
from typing import Any

from understudies.dialects.json_fields import list_objects


def iter_jaeger_spans(trace: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a trace of Jaeger, whose times are in microseconds."""
    for span in list_objects(trace.get("spans")):
        parents = [
            item.get("spanID") for item in list_objects(span.get("references")) if item.get("refType") != "FOLLOWS_FROM"
        ]
        attributes = {
            tag["key"]: tag.get("value") for tag in list_objects(span.get("tags")) if isinstance(tag.get("key"), str)
        }
        start, length = span.get("startTime"), span.get("duration")
        yield {
            "traceId": span.get("traceID"),
            "spanId": span.get("spanID"),
            "parentSpanId": parents[0] if parents else None,
            "name": span.get("operationName"),
            "startTimeUnixNano": start,
            "endTimeUnixNano": start + length if isinstance(start, int) and isinstance(length, int) else None,
            "status": {
                "code": attributes.get("otel.status_code"),
                "message": attributes.get("otel.status_description"),
            },
            "attributes": attributes,
            "events": [_jaeger_event(log) for log in list_objects(span.get("logs"))],
        }


def _jaeger_event(log: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        item["key"]: item.get("value") for item in list_objects(log.get("fields")) if isinstance(item.get("key"), str)
    }
    return {"name": fields.get("event"), "attributes": fields}
