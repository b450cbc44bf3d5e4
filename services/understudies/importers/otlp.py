"""Flatten traces in OTLP's JSON and in MLflow's into spans with plain attributes."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.dialects.json_fields import list_objects
from understudies.importers.fields import as_mapping, first_not_none
from understudies.importers.json_parsing import parse_embedded_json

_SCALARS = ("stringValue", "boolValue", "doubleValue", "string_value", "bool_value", "double_value")
_INTEGERS = ("intValue", "int_value")
_HEX_LENGTHS = (16, 32)
_LOG_TIMES = ("timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano")
LOG_RECORD: Final = "logRecord"
"""Marks what was a log record among spans."""


def iter_otlp_spans(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of an export request or a file of the collector."""
    resources = first_not_none(*(document.get(name) for name in ("resourceSpans", "resource_spans", "batches")))
    for resource in list_objects(resources):
        about = read_attributes(as_mapping(resource.get("resource")).get("attributes"))
        names = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
        for scope in list_objects(first_not_none(*(resource.get(name) for name in names))):
            for span in list_objects(scope.get("spans")):
                yield flatten_span(span, about)


def iter_otlp_logs(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield exported log records as spans that are marked as such: instrumentations may tell the content there alone.

    A record may tell a whole call, or one of its messages; whoever reads them joins them by their span.
    """
    for log in _iter_log_records(document):
        body = _read_value(log.get("body"))
        attributes = read_attributes(log.get("attributes"))
        about = {**attributes, **(body if isinstance(body, dict) else {})}
        time = first_not_none(*(log.get(name) for name in _LOG_TIMES))
        flat = flatten_span({**log, "attributes": about, "startTimeUnixNano": time})
        name = first_not_none(log.get("eventName"), log.get("event_name"), attributes.get("event.name"))
        yield {**flat, "name": name, LOG_RECORD: True}


def _iter_log_records(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in list_objects(first_not_none(document.get("resourceLogs"), document.get("resource_logs"))):
        for scope in list_objects(first_not_none(resource.get("scopeLogs"), resource.get("scope_logs"))):
            yield from list_objects(first_not_none(scope.get("logRecords"), scope.get("log_records")))


def flatten_span(span: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a span whose attributes, and those of its events, are objects of plain values."""
    events = [
        {"name": event.get("name"), "attributes": read_attributes(event.get("attributes"))}
        for event in list_objects(span.get("events"))
    ]
    return {
        "traceId": _read_id(first_not_none(span.get("traceId"), span.get("trace_id"))),
        "spanId": _read_id(first_not_none(span.get("spanId"), span.get("span_id"))),
        "parentSpanId": _read_id(first_not_none(span.get("parentSpanId"), span.get("parent_span_id"))),
        "name": span.get("name"),
        "startTimeUnixNano": first_not_none(span.get("startTimeUnixNano"), span.get("start_time_unix_nano")),
        "endTimeUnixNano": first_not_none(span.get("endTimeUnixNano"), span.get("end_time_unix_nano")),
        "status": as_mapping(span.get("status")),
        "attributes": read_attributes(span.get("attributes")),
        "events": events,
        "resource": {"attributes": dict(resource or {})},
    }


def read_attributes(value: object) -> dict[str, Any]:
    """Read attributes as OTLP's list of keys and values, or as an object."""
    if isinstance(value, dict):
        return value
    if not value:
        return {}
    attributes: dict[str, Any] = {}
    for item in list_objects(value):
        name, given = item.get("key"), item.get("value")
        if isinstance(name, str):
            if isinstance(given, dict) and len(given) == 1 and "stringValue" in given:  # as most are
                attributes[name] = given["stringValue"]
            else:
                attributes[name] = _read_value(given)
    return attributes


def _read_value(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name,) = value  # nearly always
        if name in _SCALARS:
            return value[name]
        if name in _INTEGERS:
            return _integer(value[name])
    for name in _SCALARS:
        if name in value:
            return value[name]
    for name in _INTEGERS:
        if name in value:
            return _integer(value[name])
    for name in ("arrayValue", "array_value"):
        if name in value:
            return [_read_value(item) for item in list_objects(as_mapping(value[name]).get("values"))]
    for name in ("kvlistValue", "kvlist_value"):
        if name in value:
            return read_attributes(as_mapping(value[name]).get("values"))
    return None


def _integer(value: object) -> object:
    """Read a 64-bit integer, which OTLP writes as text."""
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _read_id(value: object) -> str | None:
    """Read an id in hexadecimal, or in base64 as protobuf's own JSON has it."""
    if not isinstance(value, str) or not value:
        return None
    if len(value) not in _HEX_LENGTHS and value.endswith("="):
        try:
            return base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            return value
    return value


def iter_mlflow_spans(trace: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a trace of MLflow, whose attributes hold JSON text."""
    info = as_mapping(trace.get("info"))
    metadata = as_mapping(first_not_none(info.get("trace_metadata"), info.get("request_metadata")))
    trace_id = first_not_none(info.get("trace_id"), info.get("request_id"))
    for span in list_objects(as_mapping(trace.get("data")).get("spans")):
        context = as_mapping(span.get("context"))
        flat = flatten_span({**span, **context})
        attributes = {name: _parse_scalar(value) for name, value in flat["attributes"].items()}
        if session := metadata.get("mlflow.trace.session"):
            attributes.setdefault("session.id", session)
        flat["attributes"] = attributes
        flat["parentSpanId"] = first_not_none(flat["parentSpanId"], span.get("parent_id"))
        flat["traceId"] = first_not_none(flat["traceId"], trace_id)
        flat["startTimeUnixNano"] = first_not_none(flat["startTimeUnixNano"], span.get("start_time"))
        flat["endTimeUnixNano"] = first_not_none(flat["endTimeUnixNano"], span.get("end_time"))
        flat["status"] = flat["status"] or {"code": span.get("status_code"), "message": span.get("status_message")}
        yield flat


def _parse_scalar(value: object) -> Any:
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"' and "\\" not in value:
        return value[1:-1]
    return parse_embedded_json(value)
