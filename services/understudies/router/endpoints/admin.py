"""Serve the router's own endpoints: liveness, readiness, metrics and the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.openapi import build_document
from understudies.router.endpoints.responses import send_json, send_response

AdminHandler = Callable[[Scope, Receive, Send], Awaitable[None]]


class StatusSource(Protocol):
    """The router's status, for the admin endpoints."""

    @property
    def ready(self) -> bool:
        """True if the router accepts calls."""
        ...

    def details(self) -> Mapping[str, Any]:
        """Return further details for operators; never a key, never a prompt."""
        ...

    def exposition(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        ...


class AdminEndpoints:
    """The handlers of the admin endpoints, by path; each answers GET and HEAD."""

    def __init__(self, status: StatusSource, pages: Mapping[str, AdminHandler] | None = None) -> None:
        """Serve also `pages`, by path, each with an access check of its own."""
        self._status = status
        self._handlers: dict[str, AdminHandler] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
            **(pages or {}),
        }
        self._document = build_document()

    def find(self, path: str) -> AdminHandler | None:
        """Return the handler of a path, or None."""
        return self._handlers.get(path)

    async def _healthz(self, scope: Scope, receive: Receive, send: Send) -> None:
        _require_read_method(scope)
        await send_json(send, 200, {"status": "ok"})

    async def _readyz(self, scope: Scope, receive: Receive, send: Send) -> None:
        _require_read_method(scope)
        ready = self._status.ready
        body = {"status": "ready" if ready else "not ready", **self._status.details()}
        await send_json(send, 200 if ready else 503, body)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        _require_read_method(scope)
        await send_response(send, 200, {}, self._status.exposition(), "text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        _require_read_method(scope)
        await send_json(send, 200, self._document)


def _require_read_method(scope: Scope) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        message = f"method {scope['method']} is not allowed at {scope['path']!r}; use GET"
        raise HttpError(405, message, code="method_not_allowed", headers={"allow": "GET, HEAD"})
