"""The HTTP server, embedded in a process with other work."""

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
    """Listen from `start` to `stop`, which finishes the calls in flight within `grace_s` seconds.

    With `reuse_port`, several processes can listen on one address, and each connection goes to one of them.
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
        self._address = (host, port)
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
        """The base URL; raises RuntimeError before the start."""
        if self._socket is None:
            raise RuntimeError("the server has not been started")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Start listening; raises OSError if the address is in use."""
        self._socket = _bind(self._address, self._reuse_port)
        self._task = asyncio.get_running_loop().create_task(self._uvicorn.serve([self._socket]))
        await self._uvicorn.started_event.wait()

    async def stop(self) -> None:
        """Stop accepting calls, finish those in flight, and close."""
        if self._task is None:
            return
        self._uvicorn.should_exit = True
        await self._task
        self._task = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bind(address: tuple[str, int], reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the protocol is given; with it, answers are delayed by 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
