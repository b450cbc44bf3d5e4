"""The HTTP server, as part of a process that has more to do."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from understudies.router.http1.server_connection import ConnectionLimits, ServerConnection


class _EmbeddedUvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_event = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.started_event.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


class HttpServer:
    """Listens from `start` to `stop`; calls that have begun are finished, within `grace_s` seconds.

    With `reuse_port`, several processes may listen on one address, and each connection goes to one of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        grace_s: int = 30,
        limits: ConnectionLimits | None = None,
        reuse_port: bool = False,
    ) -> None:
        limits = limits or ConnectionLimits()
        self._socket: socket.socket | None = None
        self._where = (host, port)
        self._reuse_port = reuse_port
        self._uvicorn = _EmbeddedUvicorn(
            uvicorn.Config(
                app,
                http=cast(type[asyncio.Protocol], functools.partial(ServerConnection, limits=limits)),
                ws="none",
                interface="asgi3",
                proxy_headers=False,
                timeout_keep_alive=limits.idle_s,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=grace_s,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Base URL; raises RuntimeError before the start."""
        if self._socket is None:
            raise RuntimeError("the server has not been started")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen; raises OSError where the address is taken."""
        self._socket = _bind(self._where, self._reuse_port)
        self._task = asyncio.get_running_loop().create_task(self._uvicorn.serve([self._socket]))
        await self._uvicorn.started_event.wait()

    async def stop(self) -> None:
        """Take no more calls, finish those that have begun, and close."""
        if self._task is None:
            return
        self._uvicorn.should_exit = True
        await self._task
        self._task = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bind(where: tuple[str, int], reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, answers wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(where)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
