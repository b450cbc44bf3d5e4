"""Decode OTLP/HTTP's requests to export spans, and encode the answers, in JSON and protobuf.

See https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.types import Scope

from understudies.importers.json_parsing import NotARecordedCall, parse_json
from understudies.importers.otlp import iter_otlp_spans
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
    document = _decode_protobuf(raw) if content_type == PROTOBUF else _decode_json(raw)
    try:
        return list(iter_otlp_spans(document))
    except RecursionError:
        raise BadRequest("the spans are nested too deeply") from None


def _decode_protobuf(raw: bytes) -> dict[str, Any]:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(raw)
    except DecodeError:
        raise BadRequest("the body is no ExportTraceServiceRequest in protobuf") from None
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


def encode_success(content_type: str, rejected: int, message: str) -> bytes:
    """Encode the answer to a request that was taken, of which `rejected` spans were not; then `message` says why."""
    if content_type == JSON:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return orjson.dumps({"partialSuccess": partial} if rejected else {})
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.CopyFrom(ExportTracePartialSuccess(rejected_spans=rejected, error_message=message))
    return bytes(response.SerializeToString())


def encode_error(content_type: str, error: HttpError) -> tuple[bytes, Mapping[str, str]]:
    """Encode an error as a google.rpc.Status; returns the body and the headers, in the request's media type."""
    code = _CODES.get(error.status, _INTERNAL)
    if content_type == PROTOBUF:
        body = bytes(Status(code=code, message=error.message).SerializeToString())
    else:
        body = orjson.dumps({"code": code, "message": error.message})
    return body, {**error.headers, "content-type": content_type if content_type == PROTOBUF else JSON}
