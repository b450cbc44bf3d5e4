"""Define the shared types of a call: the call, the teacher and its answer."""

from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from understudies.dialects.base import Api
from understudies.events import Request, Response, Usage, usd
from understudies.runtime.fast_dataclass import fast_dataclass

ZERO_USD: Final = usd(0)


@fast_dataclass
class Call:
    """A request to serve.

    `traceparent` is the W3C trace context of the call's span, or of the caller's if this router makes no spans.
    `sample` is a uniform number in [0, 1) that decides whether the call is audited. `raw` is the body as the caller
    sent it, for teachers that take it unchanged, with the teacher's own model name in it; `forwarded_headers` holds the
    caller's headers for the teacher, and `query` the query string. None of these three is logged or recorded. `body` is
    `raw` parsed. `stored` marks a call whose answer the provider is asked to store: no student can do that, and the
    teacher is never asked twice for it. `accepts_cached` allows answering from the cache, `allows_caching` allows
    storing this call's answer in it. `successor` is the model to ask in place of the call's own, at the same teacher,
    without any fallback.
    """

    id: str
    at: datetime
    task: str
    request: Request
    sample: float
    episode: str | None = None
    tenant: str = "default"
    model: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    critical: bool = False
    traceparent: str | None = None
    stored: bool = False
    api: Api = "chat"
    stream: bool = False
    include_usage: bool = False
    accepts_cached: bool = False
    allows_caching: bool = False
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    raw: bytes | None = field(default=None, repr=False)
    forwarded_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    successor: str = ""


@fast_dataclass
class TeacherAnswer:
    """The answer of a teacher; `raw` and `headers` are for the caller, as the teacher sent them.

    `teacher` names the upstream that answered. `estimated` marks usage that was estimated because the teacher did not
    report it, for example because the caller disconnected early; `client_disconnected` marks that case. `fallback`
    marks the answer of another model in place of the one that failed. `unproductive_attempts` counts earlier attempts
    that were accepted but gave no answer, and are likely to be charged for; `earlier_cost_usd` is what earlier attempts
    reported to have cost. `cost_usd` includes neither.
    """

    response: Response
    model: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = field(default_factory=lambda: usd(0))
    latency_ms: float = 0.0
    raw: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    status: int = 200
    teacher: str = ""
    estimated: bool = False
    client_disconnected: bool = False
    fallback: bool = False
    unproductive_attempts: int = 0
    earlier_cost_usd: Decimal = ZERO_USD


class TeacherError(Exception):
    """Raised when the teacher does not answer.

    `status` and `headers` are for the caller, and `raw` is the teacher's own error body if it sent one; otherwise the
    caller gets `message` and `code` in the error format of its API. `cost_usd` is the cost incurred all the same,
    without the `unproductive_attempts`, which were accepted but gave no answer, and are likely to be charged for, and
    without `earlier_cost_usd`, which earlier attempts reported to have cost. One that is not `billable` costs nothing
    else, although its status is one of success.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "teacher_error",
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        latency_ms: float = 0.0,
        cost_usd: Decimal | None = None,
        unproductive_attempts: int = 0,
        earlier_cost_usd: Decimal = ZERO_USD,
        billable: bool = True,
    ) -> None:
        super().__init__(f"teacher answered {status}: {message}")
        self.status = status
        self.message = message
        self.code = code
        self.raw = raw
        self.headers = dict(headers or {})
        self.latency_ms = latency_ms
        self.cost_usd = usd(0) if cost_usd is None else cost_usd
        self.unproductive_attempts = unproductive_attempts
        self.earlier_cost_usd = earlier_cost_usd
        self.billable = billable


class TeacherStream(Protocol):
    """A teacher's answer whose status and headers have arrived and whose body is streamed."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def fallback(self) -> bool: ...
    @property
    def teacher(self) -> str:
        """The name of the upstream that answers."""
        ...

    @property
    def has_answer(self) -> bool:
        """Whether the answer is complete, although the stream may not have ended yet."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the body for the caller, chunk by chunk; raises TeacherError if the stream breaks off."""
        ...

    def body(self) -> bytes:
        """The answer so far, in the format of a non-streamed response."""
        ...

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        """The answer so far, complete once the stream has ended; raises TeacherError if it is not a valid answer."""
        ...

    async def close(self) -> None:
        """Close the stream without waiting for the rest of the answer."""
        ...


class Teacher(Protocol):
    """The model whose answers are the reference."""

    def ask(self, call: Call, *, fresh: bool = False) -> Coroutine[Any, Any, TeacherAnswer]:
        """Return the teacher's complete answer, bypassing any cache if `fresh`; raises TeacherError."""
        ...


class StreamingTeacher(Teacher, Protocol):
    """A teacher that can also stream its answer."""

    def stream(self, call: Call) -> Coroutine[Any, Any, TeacherStream]:
        """Return the teacher's answer once its headers have arrived; raises TeacherError."""
        ...
