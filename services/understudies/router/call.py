"""Define the shared types of a call: the call itself, its teacher and the answer of that."""

from collections.abc import AsyncIterator, Mapping
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
    """A request to be served.

    `sample` is a uniform number in [0, 1) that decides whether the call is audited. `raw` is the body as the caller
    sent it, for a teacher that takes it unchanged, with the teacher's own model name in it; `forwarded_headers` holds
    the caller's headers for the teacher, and `query` what stood after the path; neither is ever logged or recorded.
    `body` is what was parsed from it. What the provider is to keep is `stored`: no student can do that, and nobody asks
    the teacher for it twice. The caller takes an answer that was given before where `accepts_cached`, and lets its own
    be given again where `allows_caching`.
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


@fast_dataclass
class TeacherAnswer:
    """What the teacher answered; `raw` and `headers` are for the caller, as the teacher sent them.

    `teacher` names the upstream that answered. `estimated` says that the usage was not reported but estimated, as
    where the caller hung up before its end; `client_disconnected` that the caller did; `fallback` that another model
    answered in place of the one that failed. `unproductive_attempts` counts the attempts before, which are likely to be
    charged for: they were accepted, and nothing came of them. `cost_usd` has nothing of them.
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


class TeacherError(Exception):
    """The teacher did not answer.

    `status` and `headers` are for the caller, and `raw` is the teacher's own body where it sent one; where it did not,
    the caller is told `message` and `code` in the shape of its API. `cost_usd` is what was paid all the same, without
    the attempts that were `unproductive_attempts`: accepted, and likely to be charged for, though nothing came of them.
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


class TeacherStream(Protocol):
    """A teacher's answer that has begun: the status and headers are known, the body comes in pieces."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def fallback(self) -> bool: ...
    @property
    def teacher(self) -> str:
        """The upstream that answers."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes, for the caller; raises TeacherError where it breaks off."""
        ...

    def body(self) -> bytes:
        """The answer so far, as it is where nothing is streamed."""
        ...

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        """What was answered so far, whole where the stream has ended; raises TeacherError where it makes no answer."""
        ...

    async def close(self) -> None:
        """End it, and what the teacher may still be writing."""
        ...


class Teacher(Protocol):
    """The model whose answers count as right."""

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """The teacher's whole answer, past any cache where `fresh`; raises TeacherError."""
        ...


class StreamingTeacher(Teacher, Protocol):
    """A teacher that can also answer in pieces."""

    async def stream(self, call: Call) -> TeacherStream:
        """The teacher's answer once its headers have come; raises TeacherError."""
        ...
