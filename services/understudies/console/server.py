"""Serve the console's pages on a port of their own: for the observer alone, and after a backtest."""

import logging
import traceback
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.admin import AdminHandler
from understudies.router.endpoints.errors import ClientDisconnected, HttpError, send_error, to_http_error
from understudies.router.http1.server import HttpServer
from understudies.runtime.errors import ConfigurationError

_log = logging.getLogger(__name__)


class ConsoleApp:
    """ASGI application of the pages alone; each checks who may read it."""

    def __init__(self, pages: Mapping[str, AdminHandler]) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        try:
            page = self._pages.get(path)
            if page is None:
                raise HttpError(404, f"there is nothing at {path!r}; the console is at /", code="not_found")
            await page(scope, receive, send)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - the reader gets a response to any error
            problem = to_http_error(error)
            if problem.status == 500:
                # The error's own text may quote a prompt, so log only its type and traceback.
                where = "".join(traceback.format_tb(error.__traceback__))
                _log.error("%s %s failed with %s\n%s", scope["method"], path, type(error).__name__, where)
            await send_error(send, problem, None)


async def start_console(pages: Mapping[str, AdminHandler], host: str, port: int) -> HttpServer:
    """Start a server for the pages; raises ConfigurationError if it cannot listen."""
    server = HttpServer(ConsoleApp(pages), host, port)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve the console on {host}:{port}: {error.strerror}; choose a port that is free"
        ) from error
    return server
