"""One call as the desk sees it, and whom it asks for the teacher's answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from understudies.events import Invocation, Request, Response, Usage, usd


@dataclass(frozen=True, slots=True)
class Call:
    """A request to be served.

    `draw` is a uniform number in [0, 1) that decides whether the call is audited. `body` is the request as the
    caller sent it, for a teacher that takes it unchanged; `passed` holds the caller's headers for the teacher,
    which are never logged or recorded.
    """

    id: str
    at: datetime
    task: str
    request: Request
    draw: float
    episode: str | None = None
    tenant: str = "default"
    model: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    critical: bool = False
    over_budget: bool = False
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    passed: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class TeacherAnswer:
    """What the teacher answered; `body` and `headers` are for the caller, as the teacher sent them."""

    response: Response
    model: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = field(default_factory=lambda: usd(0))
    latency_ms: float = 0.0
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class TeacherError(Exception):
    """The teacher did not answer; status, body and headers are for the caller."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, latency_ms: float = 0.0
    ) -> None:
        error = body.get("error")
        message = error.get("message") if isinstance(error, Mapping) else None
        super().__init__(f"teacher answered {status}: {message or 'no message'}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.latency_ms = latency_ms


class Teacher(Protocol):
    """The model whose answers count as right."""

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """The teacher's answer, past any cache where `fresh`; raises TeacherError."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A call that was answered: the answer as it goes to the caller, and the event as it was recorded."""

    response: Response
    invocation: Invocation
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
