"""Tell calls that passed the router, which records them itself, so that no call is recorded twice.

The router names the event of every call that it records in a header of the answer. Official clients show the headers
of raw answers, streams and errors; for answers that they parse, a hook of their HTTP client notes the header.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

_HEADER: Final = "x-understudies-invocation"
_WATCHED: Final = "_understudies_watched"


@dataclass(slots=True)
class Marks:
    """What HTTP told of a call: whether it passed the router, which names its event, and the last response."""

    passed_router: bool = False
    response: Any = None


_CURRENT: Final[ContextVar[Marks | None]] = ContextVar("understudies_marks", default=None)


def begin_marks() -> Marks:
    """Return what takes the marks of what is called from here on."""
    marks = Marks()
    resume_marks(marks)
    return marks


def resume_marks(marks: Marks) -> None:
    """Have these take the marks from here on, as in a task that goes on with a call which began outside of it."""
    _CURRENT.set(marks)


def is_marked(answer: Any) -> bool:
    """Return whether the headers of an answer, or of the response that it or an error holds, have the mark."""
    return any(_HEADER in headers for headers in (_headers(answer), _headers(read_field(answer, "response"))))


def watch_client(client: Any) -> None:
    """Note the marks of the answers of an official client; of a client in another form, its answers tell alone."""
    http: Any = getattr(client, "_client", None)
    hooks = getattr(http, "event_hooks", None)
    if not isinstance(hooks, dict) or getattr(http, _WATCHED, False):
        return
    is_async = hasattr(type(http), "aclose")
    listed = [*hooks.get("response", ()), _note_async if is_async else _note]
    http.event_hooks = {**hooks, "response": listed}
    setattr(http, _WATCHED, True)


def read_answer(response: Any) -> Any:
    """Return the JSON of an answer that has been read and tells success, or None."""
    if response is None or not getattr(response, "is_success", False):
        return None
    try:
        return response.json()
    except Exception:  # noqa: BLE001 - it is a stream, or no JSON: then there is nothing to read
        return None


def read_field(holder: Any, name: str) -> Any:
    """Return an attribute of an answer or an error; None without it, and for one that raises."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - it is the caller's own, and may raise what it likes
        return None


def _headers(holder: Any) -> Mapping[str, str]:
    headers = read_field(holder, "headers")
    return headers if isinstance(headers, Mapping) else {}


def _note(response: Any) -> None:
    marks = _CURRENT.get()
    if marks is not None:
        marks.passed_router = marks.passed_router or bool(response.headers.get(_HEADER))
        marks.response = response


async def _note_async(response: Any) -> None:
    _note(response)
