"""Serve how a single service stands: /livez, /readyz, /metrics and /status."""

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.admin import AdminHandler
from understudies.router.endpoints.errors import ClientDisconnected, HttpError, send_error, to_http_error
from understudies.router.endpoints.responses import send_json, send_response
from understudies.router.http1.server import HttpServer
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.settings import AdminSettings
from understudies.status.access import StatusAccess
from understudies.status.parts import StatusPart
from understudies.status.standing import STATUS_PATH

_log = logging.getLogger(__name__)

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SERVER_ERROR: Final = 500

ReadPart = Callable[[str | None], Awaitable[StatusPart]]
"""Returns what the service knows, with the events of a task if one is named."""


def exposition(*collectors: Collector) -> bytes:
    """Return the metrics of collectors in the Prometheus text format, of type `METRICS_TYPE`."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


class PartEndpoint:
    """ASGI handler of `/status` of a single service; `/status?task=NAME` has the events of a task as well.

    While `starting` returns what the service has to do before it runs, that is the answer.
    """

    def __init__(self, read: ReadPart, access: StatusAccess, starting: Callable[[], str] = str) -> None:
        self._read = read
        self._access = access
        self._starting = starting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check(scope)
        if todo := self._starting():
            raise HttpError(503, todo, code="starting", headers={"retry-after": "1"})
        tasks = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("task", [None])
        try:
            part = await self._read(tasks[0])
        except RetryLater as error:
            raise HttpError(503, str(error), code="not_available") from error
        await send_response(send, 200, {}, part.model_dump_json().encode())


class AdminApp:
    """An ASGI application of the admin endpoints of one service; `is_ready` decides what /readyz answers."""

    def __init__(
        self, service: str, is_ready: Callable[[], bool], collectors: tuple[Collector, ...], status: AdminHandler | None
    ) -> None:
        self._service = service
        self._is_ready = is_ready
        self._collectors = collectors
        self._handlers: Mapping[str, AdminHandler] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            **({STATUS_PATH: status} if status else {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            handler = self._handlers.get(scope["path"])
            if handler is None:
                raise HttpError(404, f"there is nothing at {scope['path']!r}; see {', '.join(self._handlers)}")
            await handler(scope, receive, send)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - the caller gets a response to any error
            problem = to_http_error(error)
            if problem.status == _SERVER_ERROR:
                where = "".join(traceback.format_tb(error.__traceback__))
                _log.error("%s failed with %s\n%s", scope["path"], type(error).__name__, where)
                problem = HttpError(_SERVER_ERROR, "the service failed; its log says why")
            await send_error(send, problem, None)

    async def _livez(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"status": "ok", "service": self._service})

    async def _readyz(self, scope: Scope, receive: Receive, send: Send) -> None:
        ready = self._is_ready()
        body = {"status": "ready" if ready else "not ready", "service": self._service}
        await send_json(send, 200 if ready else 503, body)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_response(send, 200, {}, exposition(*self._collectors), METRICS_TYPE)


async def start_admin_server(app: AdminApp, settings: AdminSettings) -> HttpServer:
    """Start the server of the admin endpoints; raises ConfigurationError if it cannot listen."""
    assert settings.port is not None
    server = HttpServer(app, settings.host, settings.port)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; set UNDERSTUDIES_ADMIN_HOST and "
            "UNDERSTUDIES_ADMIN_PORT to an address that is free"
        ) from error
    return server
