"""Classify failed attempts: how far one came, whether to retry or fail over, and whether it may be billed."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from understudies.router.call import TeacherError
from understudies.router.http1.response import ConnectError, ProtocolError, ResponseTooLarge, ServerDisconnected
from understudies.router.upstream.headers import response_headers
from understudies.router.upstream.retry_policy import is_retriable
from understudies.runtime.rules.teacher import TeacherSpec


class AttemptProgress:
    """Whether a request was sent, and whether a status of success has come."""

    __slots__ = ("head", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.head = False

    def mark_sent(self) -> None:
        """From here on the teacher may be at work."""
        self.sent = True

    def is_billable(self, error: Exception) -> bool:
        """Whether a teacher that ends in such trouble is likely to charge for it.

        It has taken the call, or was still at work when the patience ended.
        """
        return self.head or (self.sent and isinstance(error, TimeoutError))


TRANSPORT_ERRORS: Final = (ConnectError, ProtocolError, ResponseTooLarge, TimeoutError)
_MAX_MESSAGE: Final = 500
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KEY_REJECTIONS: Final = frozenset({401, 402, 403})


class AttemptFailed(Exception):  # noqa: N818 - what the attempt has
    """What the caller is told where it stays so.

    `retry` says whether the same teacher may be asked again, `failover` whether another one may be asked instead, and
    `counts_against_breaker` whether it counts against the teacher; `headers` are all of its answer's. The first retry
    is made `retry_immediately` where a kept connection may have been the trouble. What is `billable` is likely to be
    charged for, though nothing came of it.
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
    """The failure of an attempt whose connection was not made, broke or took too long, or brought too much."""
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
    """The failure of an attempt that was answered with a status that is none of success."""
    shown = response_headers(headers)
    if status < 400:
        return AttemptFailed(
            TeacherError(
                502, f"the teacher answered {status}, which is no answer", headers=_without_content_type(shown)
            )
        )
    if status == 401 and spec.has_own_key:
        # Its words show parts of a key that is not the caller's.
        refused = TeacherError(502, "the teacher does not take the router's key", code="teacher_refused_key")
        return AttemptFailed(refused, counts_against_breaker=False)
    body = parse_json_object(raw)
    error = (body or {}).get("error")
    told = error if isinstance(error, Mapping) else {}
    code = next((str(value) for value in (told.get("code"), told.get("type")) if _is_code(value)), "teacher_error")
    told_to_caller = TeacherError(
        status,
        _message(told, raw),
        code=code,
        raw=raw if body is not None else None,
        headers=shown if body is not None else _without_content_type(shown),
    )
    every = dict(headers)
    again = is_retriable(status, every, code)
    moves = again or status >= 500 or status == 429 or (spec.has_own_key and status in _KEY_REJECTIONS)
    return AttemptFailed(
        told_to_caller,
        retry=again,
        failover=moves,
        counts_against_breaker=status >= 500 or status == 408,
        headers=every,
    )


def malformed_answer(headers: list[tuple[str, str]], message: str) -> AttemptFailed:
    """The failure of an attempt that was answered, but not with what an answer is made of."""
    error = TeacherError(
        502, message, code="teacher_answer_broken", headers=_without_content_type(response_headers(headers))
    )
    return AttemptFailed(error, billable=True)


def in_stream_failure(headers: list[tuple[str, str]], message: str) -> AttemptFailed:
    """The failure of a stream that begins with an error: the caller has seen nothing, and nobody charges for it."""
    return AttemptFailed(
        TeacherError(502, message, headers=_without_content_type(response_headers(headers))), retry=True
    )


def parse_json_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; None where it is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _message(told: Mapping[str, Any], raw: bytes) -> str:
    return str(told.get("message") or raw[:_MAX_MESSAGE].decode("utf-8", "replace").strip() or "no message")


def _is_code(value: Any) -> bool:
    """Whether it is a word that may be logged, and no text."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _without_content_type(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without the type of a body that the caller does not get."""
    return {name: value for name, value in headers.items() if name != "content-type"}
