"""An attempt that came to nothing, and what may be done about it."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from understudies.router.call import TeacherError
from understudies.router.upstream.client import Broken, Dropped, TooLarge, Unreachable
from understudies.router.upstream.headers import kept
from understudies.router.upstream.retry import retried
from understudies.runtime.teachers import TeacherSpec

TROUBLES: Final = (Unreachable, Broken, TooLarge, TimeoutError)
_SHOWN: Final = 500
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REFUSALS: Final = frozenset({401, 402, 403})


class Failed(Exception):  # noqa: N818 - what the attempt has
    """What the caller is told where it stays so.

    `retry` says whether the same teacher may be asked again, `moves` whether another one may be asked instead, and
    `fault` whether it counts against the teacher; `headers` are all of its answer's. The first retry is made
    `at_once` where a kept connection may have been the trouble. What was `accepted` is likely to be charged for, though
    nothing came of it.
    """

    def __init__(
        self,
        error: TeacherError,
        *,
        retry: bool = False,
        moves: bool = True,
        fault: bool = True,
        at_once: bool = False,
        accepted: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry = retry
        self.moves = moves
        self.fault = fault
        self.at_once = at_once
        self.accepted = accepted
        self.headers = headers or {}


def by_trouble(trouble: Exception, *, accepted: bool = False) -> Failed:
    """The failure of an attempt whose connection was not made, broke or took too long, or brought too much."""
    if isinstance(trouble, Unreachable):
        return Failed(TeacherError(502, "the teacher cannot be reached", code="teacher_unreachable"), retry=True)
    if isinstance(trouble, Broken):
        message = "the teacher's answer broke off, or is not HTTP"
        error = TeacherError(502, message, code="teacher_answer_broken")
        return Failed(error, retry=True, at_once=isinstance(trouble, Dropped), accepted=accepted)
    if isinstance(trouble, TooLarge):
        error = TeacherError(502, str(trouble), code="teacher_answer_too_large")
        return Failed(error, moves=False, fault=False, accepted=accepted)
    return Failed(TeacherError(504, "the teacher did not answer in time", code="teacher_timeout"), accepted=accepted)


def by_status(status: int, headers: list[tuple[str, str]], raw: bytes, spec: TeacherSpec) -> Failed:
    """The failure of an attempt that was answered with a status that is none of success."""
    shown = kept(headers)
    if status < 400:
        return Failed(TeacherError(502, f"the teacher answered {status}, which is no answer", headers=_bare(shown)))
    if status == 401 and spec.own_key:
        # Its words show parts of a key that is not the caller's.
        refused = TeacherError(502, "the teacher does not take the router's key", code="teacher_refused_key")
        return Failed(refused, fault=False)
    body = object_in(raw)
    error = (body or {}).get("error")
    told = error if isinstance(error, Mapping) else {}
    code = next((str(value) for value in (told.get("code"), told.get("type")) if _is_code(value)), "teacher_error")
    told_to_caller = TeacherError(
        status,
        _message(told, raw),
        code=code,
        raw=raw if body is not None else None,
        headers=shown if body is not None else _bare(shown),
    )
    every = dict(headers)
    again = retried(status, every, code)
    moves = again or status >= 500 or status == 429 or (spec.own_key and status in _REFUSALS)
    return Failed(told_to_caller, retry=again, moves=moves, fault=status >= 500 or status == 408, headers=every)


def broken_answer(headers: list[tuple[str, str]], message: str) -> Failed:
    """The failure of an attempt that was answered, but not with what an answer is made of."""
    error = TeacherError(502, message, code="teacher_answer_broken", headers=_bare(kept(headers)))
    return Failed(error, accepted=True)


def failed_inside(headers: list[tuple[str, str]], message: str) -> Failed:
    """The failure of a stream that begins with an error: the caller has seen nothing, and nobody charges for it."""
    return Failed(TeacherError(502, message, headers=_bare(kept(headers))), retry=True)


def object_in(raw: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is; None where it is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _message(told: Mapping[str, Any], raw: bytes) -> str:
    return str(told.get("message") or raw[:_SHOWN].decode("utf-8", "replace").strip() or "no message")


def _is_code(value: Any) -> bool:
    """Whether it is a word that may be logged, and no text."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _bare(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers without the type of a body that the caller does not get."""
    return {name: value for name, value in headers.items() if name != "content-type"}
