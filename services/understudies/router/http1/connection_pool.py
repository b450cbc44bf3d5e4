"""Pool the connections to the teachers: open one if none is free, and keep it for a while."""

import asyncio
import functools
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Final

import aiohappyeyeballs
from yarl import URL

from understudies.router.http1.client_connection import ClientConnection
from understudies.router.http1.response import ConnectError, StreamedResponse

_NEXT_ADDRESS_S: Final = 0.25
_Origin = tuple[str, str, int]


class _Slots:
    """So many slots at once, in order; taking a free one costs a comparison, of a semaphore six calls."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take_nowait(self) -> bool:
        """Take a slot if one is free."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Wait for a slot, and take it."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot to who waits longest, or free it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class ConnectionPool:
    """Post requests to teachers, at most `max_connections` at once; others wait. TLS is verified."""

    def __init__(self, *, max_connections: int, keep_alive_s: float) -> None:
        self._keep_alive_s = keep_alive_s
        self._slots = _Slots(max_connections)
        self._free: defaultdict[_Origin, deque[ClientConnection]] = defaultdict(deque)
        self._busy: set[ClientConnection] = set()
        self._tls: ssl.SSLContext | None = None

    async def post(
        self,
        url: URL,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect_s: float,
        on_sent: Callable[[], None] | None = None,
    ) -> StreamedResponse:
        """Return the answer once its headers have arrived; raises ConnectError and ProtocolError."""
        head = _head(url, headers, len(body))
        origin = (url.scheme, url.raw_host or "", url.port or 80)
        if not self._slots.take_nowait():
            await self._slots.take()
        try:
            connection = self._reuse(origin) or await self._connect(origin, connect_s)
        except BaseException:
            self._slots.release()
            raise
        self._busy.add(connection)
        if on_sent is not None:
            on_sent()
        return await connection.send_request(head, body)

    def close(self) -> None:
        """Close all connections."""
        for connection in [*self._busy, *(connection for free in self._free.values() for connection in free)]:
            connection.abort()
        self._free.clear()

    def _reuse(self, origin: _Origin) -> ClientConnection | None:
        """Return the most recently used connection, which the other side is least likely to close."""
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if connection.is_usable and connection.idle_since >= time.monotonic() - self._keep_alive_s:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: _Origin, connect_s: float) -> ClientConnection:
        scheme, host, port = origin
        try:
            async with asyncio.timeout(connect_s):
                return await self._open_connection(
                    origin, host, port, self._tls_context() if scheme == "https" else None
                )
        except TimeoutError as error:
            raise ConnectError(f"no connection to {host}:{port} in {connect_s:g} s") from error
        except OSError as error:
            raise ConnectError(f"no connection to {host}:{port}: {type(error).__name__}: {error.strerror}") from error

    async def _open_connection(
        self, origin: _Origin, host: str, port: int, tls: ssl.SSLContext | None
    ) -> ClientConnection:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            factory = functools.partial(ClientConnection, functools.partial(self._done, origin))
            name = host if tls is not None else None
            _, connection = await loop.create_connection(factory, sock=sock, ssl=tls, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return connection

    def _done(self, origin: _Origin, connection: ClientConnection, keep: bool) -> None:
        self._busy.discard(connection)
        self._slots.release()
        if not keep:
            return
        connection.idle_since = time.monotonic()
        oldest = connection.idle_since - self._keep_alive_s
        free = self._free[origin]
        free.append(connection)
        while free and (free[0].idle_since < oldest or not free[0].is_usable):
            free.popleft().abort()

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _head(url: URL, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"host: {url.host_port_subcomponent}", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines) + "\r\n\r\n"
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1 or "\0" in head:
        raise ValueError("a header has a line break in it")
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode()
