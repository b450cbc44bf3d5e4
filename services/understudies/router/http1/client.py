"""HTTP client for the teachers, with persistent connections and streamed answers."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from io import BytesIO
from typing import Any, Final

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
"""Most servers keep a connection longer than this, so a reused one should not be about to be closed."""
_MAX_HEADER_BYTES: Final = 65_536
_SINGLE_WRITE_BYTES: Final = 2**20
_CONNECTION_ERRORS: Final = (ConnectionResetError, BrokenPipeError)


class _AiohttpResponse:
    """An `HttpResponse` to any kind of request, from aiohttp."""

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
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.read_chunk():
            size += len(chunk)
            if size > limit:
                raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
            chunks.append(chunk)
            if self._response.content.at_eof():
                break
            on_chunk()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        self._response.close()


class HttpClient:
    """Send requests, with TLS verified, without cookies, redirects or retries.

    POST requests with a bytes body, as every model call is, use connections that take a quarter of the time.
    """

    def __init__(self, *, max_connections: int = _MAX_CONNECTIONS, keep_alive_s: float = _KEEP_ALIVE_S) -> None:
        self._max_connections = max_connections
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None
        self._pool = ConnectionPool(max_connections=max_connections, keep_alive_s=keep_alive_s)
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        connect_s: float,
        decompress: bool = True,
        on_sent: Callable[[], None] | None = None,
    ) -> Coroutine[Any, Any, HttpResponse]:
        """Return the answer once its headers have arrived; raises ConnectError and ProtocolError.

        For a POST of bytes, `on_sent` is called once there is a connection.
        """
        if method == "POST" and decompress and isinstance(body, bytes):
            return self._pool.post(url, headers, body, connect_s=connect_s, on_sent=on_sent)
        return self._send_by_session(method, url, headers, body, connect_s=connect_s, decompress=decompress)

    async def _send_by_session(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        *,
        connect_s: float,
        decompress: bool,
    ) -> HttpResponse:
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
        """Limit only the connection time: the caller watches all other deadlines, so a request needs no timer here."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self._timeouts[connect_s] = timeout
        return timeout


def _describe(error: BaseException) -> str:
    """Describe an error without the headers that some errors include."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: {error.message}"
    return f"{type(error).__name__}: {error}"
