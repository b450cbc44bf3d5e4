"""Decode OTLP/HTTP's requests to export spans and logs, and encode the answers, in JSON and protobuf.

See https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.types import Scope

from understudies.importers.json_parsing import NotARecordedCall, parse_json
from understudies.importers.otlp import iter_otlp_logs, iter_otlp_spans
from understudies.router.endpoints.errors import BadRequest, HttpError
from understudies.router.endpoints.request_body import BYTE_ORDER_MARK, exceeds_depth

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 503: 14}
"""Codes of google.rpc.Code by HTTP status; any other status is INTERNAL."""
_INTERNAL: Final = 13


def read_content_type(scope: Scope) -> str:
    """Return the media type of a request, in lower case and without parameters."""
    value = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return str(value.decode("latin-1")).partition(";")[0].strip().lower()


def check_content_type(content_type: str) -> None:
    """Raise HttpError for a media type that OTLP/HTTP does not have."""
    if content_type not in (JSON, PROTOBUF):
        raise HttpError(415, f"content type {content_type!r} is unknown here; send {PROTOBUF} or {JSON}")


def decode_spans(raw: bytes, content_type: str) -> list[dict[str, Any]]:
    """Return the spans of a request, with plain attributes; raises BadRequest for anything else."""
    return _decode(raw, content_type, ExportTraceServiceRequest, iter_otlp_spans)


def decode_logs(raw: bytes, content_type: str) -> list[dict[str, Any]]:
    """Return the log records of a request, in the form of spans; raises BadRequest for anything else."""
    return _decode(raw, content_type, ExportLogsServiceRequest, iter_otlp_logs)


def _decode(
    raw: bytes,
    content_type: str,
    form: type[ExportTraceServiceRequest] | type[ExportLogsServiceRequest],
    flatten: Callable[[Mapping[str, Any]], Iterable[dict[str, Any]]],
) -> list[dict[str, Any]]:
    document = _decode_protobuf(raw, form()) if content_type == PROTOBUF else _decode_json(raw)
    try:
        return list(flatten(document))
    except RecursionError:
        raise BadRequest("what was sent is nested too deeply") from None


def _decode_protobuf(raw: bytes, request: ExportTraceServiceRequest | ExportLogsServiceRequest) -> dict[str, Any]:
    try:
        request.ParseFromString(raw)
    except DecodeError:
        raise BadRequest(f"the body is no {type(request).__name__} in protobuf") from None
    document: dict[str, Any] = MessageToDict(request)
    return document


def _decode_json(raw: bytes) -> dict[str, Any]:
    try:
        document = parse_json(raw.removeprefix(BYTE_ORDER_MARK))
    except NotARecordedCall as error:
        raise BadRequest(f"the body is {error}") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object")
    if exceeds_depth(document):
        raise BadRequest("the body is nested too deeply")
    return document


def encode_success(content_type: str, rejected: int, message: str, *, are_logs: bool = False) -> bytes:
    """Encode the answer to a request that was taken.

    Of its spans, or log records, `rejected` were not recorded; then `message` says why.
    """
    if content_type == JSON:
        name = "rejectedLogRecords" if are_logs else "rejectedSpans"
        partial = {name: str(rejected), "errorMessage": message}
        return orjson.dumps({"partialSuccess": partial} if rejected else {})
    if are_logs:
        logged = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
        return bytes(ExportLogsServiceResponse(partial_success=logged if rejected else None).SerializeToString())
    traced = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return bytes(ExportTraceServiceResponse(partial_success=traced if rejected else None).SerializeToString())


def encode_error(content_type: str, error: HttpError) -> tuple[bytes, Mapping[str, str]]:
    """Encode an error as a google.rpc.Status; returns the body and the headers, in the request's media type."""
    code = _CODES.get(error.status, _INTERNAL)
    if content_type == PROTOBUF:
        body = bytes(Status(code=code, message=error.message).SerializeToString())
    else:
        body = orjson.dumps({"code": code, "message": error.message})
    return body, {**error.headers, "content-type": content_type if content_type == PROTOBUF else JSON}
