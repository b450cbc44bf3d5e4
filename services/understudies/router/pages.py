"""Pages about the router itself: is it alive, is it ready, how does it fare, what does it serve."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from understudies.router.errors import Problem
from understudies.router.openapi import document
from understudies.router.replies import reply, reply_json

Page = Callable[[Scope, Receive, Send], Awaitable[None]]


class Standing(Protocol):
    """What the pages say of the router."""

    @property
    def ready(self) -> bool:
        """Whether calls are taken."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What an operator wants to know beside it; never a key, never a prompt."""
        ...

    def exposition(self) -> bytes:
        """The metrics, in the text format of Prometheus."""
        ...


class Pages:
    """Found by path; each answers GET and HEAD."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._pages: dict[str, Page] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }
        self._document = document()

    def at(self, path: str) -> Page | None:
        """The page at a path."""
        return self._pages.get(path)

    async def _healthz(self, scope: Scope, receive: Receive, send: Send) -> None:
        _only_reads(scope)
        await reply_json(send, 200, {"status": "ok"})

    async def _readyz(self, scope: Scope, receive: Receive, send: Send) -> None:
        _only_reads(scope)
        ready = self._standing.ready
        told = {"status": "ready" if ready else "not ready", **self._standing.facts()}
        await reply_json(send, 200 if ready else 503, told)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        _only_reads(scope)
        await reply(send, 200, {}, self._standing.exposition(), "text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        _only_reads(scope)
        await reply_json(send, 200, self._document)


def _only_reads(scope: Scope) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        message = f"{scope['method']} is not to be had at {scope['path']!r}; GET is"
        raise Problem(405, message, code="method_not_allowed", headers={"allow": "GET, HEAD"})
