"""Unwrap records from what exports and log shippers put around them."""

from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, Final

from understudies.importers.fields import as_mapping, first_not_none
from understudies.importers.jaeger import iter_jaeger_spans
from understudies.importers.json_parsing import parse_embedded_json
from understudies.importers.otlp import iter_mlflow_spans, iter_otlp_logs, iter_otlp_spans

_PAGES: Final = (
    "data",
    "observations",
    "runs",
    "items",
    "records",
    "Records",
    "spans",
    "rows",
    "results",
    "traces",
    "requests",
)
_PAGE_MARKS: Final = frozenset(
    {"object", "meta", "has_more", "next_cursor", "next", "cursor", "total", "count", "page", "first_id", "last_id"}
    | {
        "totalCount",
        "pagination",
        "next_page",
        "nextToken",
        "nextForwardToken",
        "cursors",
        "previous",
        "limit",
        "offset",
    }
    | {"error", "success", "status", "size", "page_size", "has_next"}
)
_SHIPPED: Final = (
    "message",
    "@message",
    "log",
    "jsonPayload",
    "textPayload",
    "_source",
    "payload",
    "body",
    "event",
    "attributes",
)
"""Fields in which shippers of logs (Datadog, CloudWatch, Google Cloud, Elasticsearch) hold a line."""
_SHIPPER_MARKS: Final = frozenset(
    {
        "ddsource",
        "ddtags",
        "service",
        "hostname",
        "host",
        "timestamp",
        "@timestamp",
        "ingestionTime",
        "eventId",
        "logName",
    }
    | {"insertId", "resource", "_index", "_id", "logStreamName", "@ptr", "time", "stream", "severity", "level", "type"}
)

_MLFLOW_ROW: Final = frozenset({"execution_duration", "execution_time_ms", "assessments"})
"""Fields of a trace of MLflow as a row of its search."""
_TRACES: Final = frozenset({"resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "batches", "traceID"})


_ENVELOPES: Final = _TRACES.union(_PAGES, _SHIPPED, ("info", "observations", "hits", "logEvents"))
"""Fields without which a record is in no envelope."""
_SHIPPED_TIMES: Final = ("timestamp", "@timestamp", "time")
_SHIPPED_BY_FEW: Final = frozenset({"message", "body", "event", "attributes", "payload"})
"""Those of them that many formats have too."""
_DATADOG_ARCHIVE: Final = frozenset({"date", "message"})
"""Fields that a line of Datadog's archives has beside the attributes."""
_ALWAYS_OPENED: Final = _TRACES | {"observations", "hits", "logEvents"}


def iter_enveloped(record: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Return the records in an envelope, or the record itself if it is in none."""
    return _open(record) if may_hold_records(tuple(record)) else (record,)


@lru_cache(maxsize=1024)
def may_hold_records(names: tuple[str, ...]) -> bool:
    """Return whether a record with fields of these names may be an envelope: hardly any is, whatever its values."""
    fields = frozenset(names)
    if fields.isdisjoint(_ENVELOPES):
        return False
    if not fields.isdisjoint(_ALWAYS_OPENED) or {"info", "data"} <= fields or {"spans", "trace_metadata"} <= fields:
        return True
    if any(name in fields and fields - {name} <= _PAGE_MARKS for name in _PAGES):
        return True
    if fields.isdisjoint(_SHIPPER_MARKS) or "messages" in fields:
        return False
    return any(name in fields and (name not in _SHIPPED_BY_FEW or _is_about(fields, name)) for name in _SHIPPED)


def _open(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not record.keys().isdisjoint(_TRACES):
        if "resourceSpans" in record or "resource_spans" in record or _is_tempo(record):
            yield from iter_otlp_spans(record)
            return
        if "resourceLogs" in record or "resource_logs" in record:
            yield from iter_otlp_logs(record)
            return
        if "traceID" in record and isinstance(record.get("spans"), list):
            yield from iter_jaeger_spans(record)
            return
    if isinstance(record.get("info"), dict) and isinstance(as_mapping(record.get("data")).get("spans"), list):
        yield from iter_mlflow_spans(record)
        return
    if isinstance(record.get("spans"), list) and not _MLFLOW_ROW.isdisjoint(record) and "trace_metadata" in record:
        yield from iter_mlflow_spans({"info": record, "data": record})
        return
    inner = _unwrap_trace(record) or _unwrap_page(record)
    if inner is not None:
        for item in inner:
            yield from iter_enveloped(item) if isinstance(item, dict) else ()
        return
    shipped = _unwrap_shipped(record)
    if shipped is None:
        yield record
    else:
        yield from iter_enveloped(shipped)


def _is_tempo(record: Mapping[str, Any]) -> bool:
    batches = record.get("batches")
    return isinstance(batches, list) and any(isinstance(item, dict) and "resource" in item for item in batches)


def _unwrap_trace(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the observations of a trace of Langfuse, each with the trace's session and tags."""
    observations = record.get("observations")
    if not isinstance(observations, list) or not any(isinstance(item, dict) for item in observations):
        return None
    trace = as_mapping(record["trace"]) if isinstance(record.get("trace"), dict) else record
    about = {
        "sessionId": first_not_none(trace.get("sessionId"), trace.get("session_id")),
        "traceId": trace.get("id"),
        "tags": trace.get("tags"),
    }
    return [_with_defaults(item, about) if isinstance(item, dict) else item for item in observations]


def _unwrap_page(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the elements of a page of an API's list, whose other fields are about the page."""
    hits = record.get("hits")
    if isinstance(hits, dict) and isinstance(hits.get("hits"), list):
        found: list[Any] = hits["hits"]
        return found
    for name in _PAGES if not record.keys().isdisjoint(_PAGES) else ():
        if isinstance(record.get(name), list) and all(other == name or other in _PAGE_MARKS for other in record):
            elements: list[Any] = record[name]
            return elements if all(isinstance(element, dict) for element in elements) else None
    events = record.get("logEvents")
    return events if isinstance(events, list) else None


def _unwrap_shipped(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the object that a shipper's record holds, whose other fields are about the shipping."""
    if record.keys().isdisjoint(_SHIPPER_MARKS) or "messages" in record:
        return None
    for name in _SHIPPED:
        inner = parse_embedded_json(record.get(name))
        if not isinstance(inner, dict) or len(inner) < 2:
            continue
        if name in _SHIPPED_BY_FEW and not _is_shipped(record, name, inner):
            continue
        time = first_not_none(*(record.get(name) for name in _SHIPPED_TIMES))
        return inner if time is None else {"timestamp": time, **inner}
    return None


def _is_shipped(record: Mapping[str, Any], name: str, inner: Mapping[str, Any]) -> bool:
    """Return whether the other fields are about shipping alone: many formats have fields of these names."""
    return _is_about(record.keys(), name) and not ("role" in inner or "content" in inner)


def _is_about(fields: Set[str], shipped: str) -> bool:
    """Return whether all fields but the shipped one are about the shipping."""
    others = {shipped, "id", "tags", "status", "source", "@logStream", "@log", "name"}
    if shipped == "attributes":
        others |= _DATADOG_ARCHIVE
    return fields - others <= _SHIPPER_MARKS


def _with_defaults(item: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in about.items() if value is not None and item.get(name) is None},
        **{name: value for name, value in item.items() if value is not None or about.get(name) is None},
    }
