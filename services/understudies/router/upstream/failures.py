"""Classify failed attempts: their progress, whether to retry or fail over, and whether they may be billed."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.json_fields import parse_lenient_json
from understudies.router.call import TeacherError
from understudies.router.http1.response import ConnectError, ProtocolError, ResponseTooLarge, ServerDisconnected
from understudies.router.upstream.headers import response_headers
from understudies.router.upstream.retry_policy import is_retriable
from understudies.runtime.rules.teacher import TeacherSpec


class AttemptProgress:
    """Track whether a request was sent, and whether a status of success has arrived."""

    __slots__ = ("head", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.head = False

    def mark_sent(self) -> None:
        """Mark the request as sent: the teacher may be working on it from here on."""
        self.sent = True

    def is_billable(self, error: Exception) -> bool:
        """Return whether the teacher is likely to charge for an attempt that ended in this error.

        That is the case if it accepted the call, or was still working when the time limit passed.
        """
        return self.head or (self.sent and isinstance(error, TimeoutError))


TRANSPORT_ERRORS: Final = (ConnectError, ProtocolError, ResponseTooLarge, TimeoutError)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MAX_MESSAGE: Final = 500
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEY_REJECTIONS: Final = frozenset({401, 402, 403})


class AttemptFailed(Exception):  # noqa: N818 - names the outcome
    """Raised when one attempt at a teacher fails; carries the error for the caller if no other attempt succeeds.

    `retry` says whether the same teacher may be asked again, `failover` whether another one may be, and
    `counts_against_breaker` whether the failure counts against the teacher. `headers` are all headers of its answer.
    `retry_immediately` makes the first retry without delay, because a stale kept connection may be the cause.
    `billable` marks attempts that are likely to be charged for although they gave no answer.
    """

    def __init__(
        self,
        error: TeacherError,
        *,
        retry: bool = False,
        failover: bool = True,
        counts_against_breaker: bool = True,
        retry_immediately: bool = False,
        billable: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry = retry
        self.failover = failover
        self.counts_against_breaker = counts_against_breaker
        self.retry_immediately = retry_immediately
        self.billable = billable
        self.headers = headers or {}


def failure_from_transport_error(cause: Exception, *, billable: bool = False) -> AttemptFailed:
    """Return the failure of an attempt with a transport error: not connected, broken, timed out or too large."""
    if isinstance(cause, ConnectError):
        return AttemptFailed(TeacherError(502, "the teacher cannot be reached", code="teacher_unreachable"), retry=True)
    if isinstance(cause, ProtocolError):
        message = "the teacher's answer broke off, or is not HTTP"
        error = TeacherError(502, message, code="teacher_answer_broken")
        return AttemptFailed(
            error, retry=True, retry_immediately=isinstance(cause, ServerDisconnected), billable=billable
        )
    if isinstance(cause, ResponseTooLarge):
        error = TeacherError(502, str(cause), code="teacher_answer_too_large")
        return AttemptFailed(error, failover=False, counts_against_breaker=False, billable=billable)
    return AttemptFailed(
        TeacherError(504, "the teacher did not answer in time", code="teacher_timeout"), billable=billable
    )


def failure_from_status(status: int, headers: list[tuple[str, str]], raw: bytes, spec: TeacherSpec) -> AttemptFailed:
    """Return the failure of an attempt answered with a status other than success."""
    shown = response_headers(headers)
    if status < 400:
        # Followed, a call would reach another server with the teacher's key, which only the settings may say.
        target = _shown_target(dict(headers).get("location", "")) if status in _REDIRECTS else ""
        where = f", a redirect to {target}; name what answers as the teacher's base_url" if target else ""
        message = f"the teacher answered {status}, which is no answer{where}"
        return AttemptFailed(TeacherError(502, message, headers=_without_content_type(shown)))
    if status == 401 and spec.has_own_key:
        # The teacher's message shows parts of a key that is not the caller's.
        refused = TeacherError(502, "the teacher does not take the router's key", code="teacher_refused_key")
        return AttemptFailed(refused, counts_against_breaker=False)
    body = parse_json_object(raw)
    error = (body or {}).get("error")
    details = error if isinstance(error, Mapping) else {}
    code = next(
        (str(value) for value in (details.get("code"), details.get("type")) if _is_code(value)), "teacher_error"
    )
    caller_error = TeacherError(
        status,
        _message(details, raw),
        code=code,
        raw=raw if body is not None else None,
        headers=shown if body is not None else _without_content_type(shown),
    )
    all_headers = dict(headers)
    retry = is_retriable(status, all_headers, code)
    failover = retry or status >= 500 or status == 429 or (spec.has_own_key and status in _KEY_REJECTIONS)
    return AttemptFailed(
        caller_error,
        retry=retry,
        failover=failover,
        counts_against_breaker=status >= 500 or status == 408,
        headers=all_headers,
    )


def malformed_answer(headers: list[tuple[str, str]], message: str) -> AttemptFailed:
    """Return the failure of an attempt whose answer is malformed."""
    error = TeacherError(
        502, message, code="teacher_answer_broken", headers=_without_content_type(response_headers(headers))
    )
    return AttemptFailed(error, billable=True)


def failure_from_answer_error(
    answer_error: AnswerError, status: int, headers: list[tuple[str, str]], raw: bytes, cost_usd: Decimal
) -> AttemptFailed:
    """Return the failure of an attempt whose status is one of success and whose body reports an error.

    It is treated as an answer with the status that the error stands for. If nobody else answers, the caller gets the
    body as it came. It costs what the usage in the body says, or nothing.
    """
    stands_for, code = answer_error.status, answer_error.code or ""
    error = TeacherError(
        status,
        str(answer_error)[:_MAX_MESSAGE],
        code=code if _is_code(code) else "teacher_error",
        raw=raw,
        headers=response_headers(headers),
        cost_usd=cost_usd,
        billable=bool(cost_usd),
    )
    all_headers = dict(headers)
    retry = is_retriable(stands_for, all_headers, code)
    return AttemptFailed(
        error,
        retry=retry,
        failover=retry or stands_for >= 500 or stands_for == 429,
        counts_against_breaker=stands_for >= 500,
        headers=all_headers,
    )


def in_stream_failure(headers: list[tuple[str, str]], message: str) -> AttemptFailed:
    """Return the failure of a stream that begins with an error: the caller has seen nothing, and it is not billed."""
    return AttemptFailed(
        TeacherError(502, message, headers=_without_content_type(response_headers(headers))), retry=True
    )


def parse_json_object(raw: bytes) -> dict[str, Any] | None:
    """Parse a JSON object, with the NaN and halves of surrogate pairs that clients take; None if it is not one.

    An object with an error that is alone in a list, as Gemini's compatible API sends it, is read as the object.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        if raw.startswith(_BYTE_ORDER_MARK):
            return parse_json_object(raw.removeprefix(_BYTE_ORDER_MARK))
        try:
            body = parse_lenient_json(raw)
        except ValueError:
            return None
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and "error" in body[0]:
        return body[0]
    return body if isinstance(body, dict) else None


def _message(details: Mapping[str, Any], raw: bytes) -> str:
    return str(details.get("message") or raw[:_MAX_MESSAGE].decode("utf-8", "replace").strip() or "no message")


def _shown_target(location: str) -> str:
    """Return the address of a redirect without what may be secret: credentials and the query."""
    try:
        parts = urlsplit(location)
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host, parts.path, "", ""))[:_MAX_MESSAGE]


def _is_code(value: Any) -> bool:
    """Return whether the value is a short code that may be logged, not free text."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _without_content_type(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without the content type, because the caller does not get that body."""
    return {name: value for name, value in headers.items() if name != "content-type"}
