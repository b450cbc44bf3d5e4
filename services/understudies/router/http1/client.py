"""HTTP to the teachers: connections that are kept, and answers that come in pieces."""

from collections.abc import AsyncIterator, Callable, Mapping
from io import BytesIO
from typing import Final

import aiohttp
from yarl import URL

from understudies.router.http1.connection_pool import ConnectionPool
from understudies.router.http1.response import (
    ConnectError,
    HttpResponse,
    ProtocolError,
    ResponseTooLarge,
    ServerDisconnected,
)

_MAX_CONNECTIONS: Final = 4000
_KEEP_ALIVE_S: Final = 30.0
"""Most servers keep a connection longer than this: one that is used again should not be about to be closed."""
_MAX_HEADER_BYTES: Final = 65_536
_SINGLE_WRITE_BYTES: Final = 2**20
_CONNECTION_ERRORS: Final = (ConnectionResetError, BrokenPipeError)


class _AiohttpResponse:
    """A Reply to a request of any kind."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def headers(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in self._response.headers.items()]

    @property
    def content_type(self) -> str:
        return self._response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def read_nowait(self) -> bytes:
        try:
            return self._response.content.read_nowait()
        except (aiohttp.ClientError, *_CONNECTION_ERRORS) as error:
            raise ProtocolError(_describe(error)) from error

    async def read_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, *_CONNECTION_ERRORS) as error:
            raise ProtocolError(_describe(error)) from error

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        if (self._response.content_length or 0) > limit:
            raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read_chunk():
            size += len(piece)
            if size > limit:
                raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
            pieces.append(piece)
            if self._response.content.at_eof():
                break
            on_chunk()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        self._response.close()


class HttpClient:
    """Sends requests, with TLS verified, without cookies, redirects or retries of its own.

    What posts bytes, as every call of a model does, goes over connections that take a quarter of the time.
    """

    def __init__(self, *, max_connections: int = _MAX_CONNECTIONS, keep_alive_s: float = _KEEP_ALIVE_S) -> None:
        self._max_connections = max_connections
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None
        self._pool = ConnectionPool(max_connections=max_connections, keep_alive_s=keep_alive_s)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        connect_s: float,
        decompress: bool = True,
        on_sent: Callable[[], None] | None = None,
    ) -> HttpResponse:
        """The answer, once its headers have come; raises ConnectError, and ProtocolError.

        Where bytes are posted, `on_sent` is told once there is a connection.
        """
        if method == "POST" and decompress and isinstance(body, bytes):
            return await self._pool.post(url, headers, body, connect_s=connect_s, on_sent=on_sent)
        session = self._session or self._open()
        try:
            response = await session.request(
                method,
                url,
                data=BytesIO(body) if isinstance(body, bytes) and len(body) > _SINGLE_WRITE_BYTES else body,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeouts.get(connect_s) or self._timeout(connect_s),
                auto_decompress=decompress,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ConnectError(_describe(error)) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, *_CONNECTION_ERRORS) as error:
            raise ServerDisconnected(_describe(error)) from error
        except aiohttp.ClientError as error:
            raise ProtocolError(_describe(error)) from error
        return _AiohttpResponse(response)

    async def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=self._keep_alive_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("user-agent", "accept", "accept-encoding"),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        return self._session

    def _timeout(self, connect_s: float) -> aiohttp.ClientTimeout:
        """All other spans are the caller's to watch: a request then needs no timer here."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self._timeouts[connect_s] = timeout
        return timeout


def _describe(error: BaseException) -> str:
    """What happened, without the headers that some errors show."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: {error.message}"
    return f"{type(error).__name__}: {error}"
