"""Recognise bodies in which a provider reports an error in place of an answer, whatever the HTTP status says."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.json_fields import object_or_empty, text_or_empty

FAILED_REASONS: Final = frozenset(
    {"error", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled", "canceled"}
    | {"failed", "failure", "exception", "timeout"}
)
"""Reasons for the end of an answer that say that the provider failed; what came before is no answer."""

COMPLAINTS: Final = ("detail", "message", "msg", "error_msg", "error_message")
"""Fields in which servers tell an error in a body of no known form."""

_STATUS_BY_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ENVELOPE_FIELDS: Final = frozenset(
    {"error", "id", "object", "type", "model", "created", "provider", "status", "request_id", "user_id", "choices"}
    | {"usage", "code", "message", "system_fingerprint", "service_tier"}
)
"""Fields that a body may have beside its error without being something else, such as the JSON answer of a function."""


class AnswerError(ValueError):
    """Raised for a body that reports an error in place of an answer.

    `status` is the HTTP status that the error stands for, 502 if the body does not say.
    """

    def __init__(self, message: str, *, status: int = 502, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def answer_error(error: Any, default: str = "the teacher failed") -> AnswerError:
    """Return the error that a body reports, as an object or as text."""
    details = object_or_empty(error)
    code, kind = details.get("code"), details.get("type")
    named = next((value for value in (code, kind) if isinstance(value, str) and value), None)
    message = text_or_empty(details.get("message")) or text_or_empty(error) or default
    statuses = (
        _as_status(code),
        _as_status(details.get("status")),
        *(_STATUS_BY_TYPE.get(str(v)) for v in (code, kind)),
    )
    return AnswerError(message, status=next((status for status in statuses if status), 502), code=named)


def reported_error(body: Mapping[str, Any], default: str = "the teacher failed") -> AnswerError | None:
    """Return the error that a body without an answer reports, or None if it reports none."""
    if body.get("error"):
        return answer_error(body["error"], default)
    if "error" in (body.get("object"), body.get("type")):
        return answer_error(body, default)
    return None


def complaint(body: Mapping[str, Any]) -> AnswerError | None:
    """Return the error that a body without an answer reports in any form, or None if it reports none.

    Beside those of `reported_error` these are the texts of frameworks and gateways, such as `{"detail": "..."}`, lists
    of errors, and MiniMax's `base_resp`.
    """
    if (error := reported_error(body)) is not None:
        return error
    told = body.get("errors")
    if isinstance(told, list) and told:
        return answer_error(told[0])
    base = object_or_empty(body.get("base_resp"))
    if base.get("status_code"):
        return answer_error(base.get("status_msg"))
    text = next((body[name] for name in COMPLAINTS if isinstance(body.get(name), str) and body[name]), None)
    if text is not None:
        return answer_error({**body, "message": text})
    return answer_error(None) if body.get("success") is False else None


def is_error_body(body: Mapping[str, Any]) -> bool:
    """Return whether a body is nothing but a provider's error, as a client library returns it."""
    error = body.get("error")
    if isinstance(error, Mapping):
        return bool({"message", "code", "type"} & error.keys()) and _ENVELOPE_FIELDS.issuperset(body)
    return "error" in (body.get("object"), body.get("type")) and isinstance(body.get("message"), str)


def _as_status(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None
