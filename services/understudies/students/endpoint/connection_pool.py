"""Pool connections to endpoints: keep them open between calls, shared by the students of the same endpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from understudies.students.base import StudentError
from understudies.students.endpoint.settings import Endpoint

_MOST_OF_AN_ERROR: Final = 65_536
_IDLE_S: Final = 4.0
"""Shorter than servers keep idle connections open, which is 5 s with uvicorn and llama.cpp."""
_LEAST_S: Final = 0.001


class EndpointUnavailable(StudentError):  # noqa: N818 - named by what happened
    """Report an endpoint that did not answer at all: no connection, or one that broke."""


class EndpointRefusal(StudentError):  # noqa: N818 - named by what happened
    """Report an endpoint that answered with the HTTP `status` of an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ModelNotFound(EndpointRefusal):
    """Report an endpoint that serves no model or adapter of the name asked."""


class EndpointPool:
    """Pool of connections to one endpoint.

    It opens at the first call and again after `close`, in the calling event loop, so that closing it while others still
    use it only costs them a new connection. Without `keep_alive`, each call has a connection of its own.
    """

    def __init__(self, endpoint: Endpoint, *, keep_alive: bool = True) -> None:
        self._endpoint = endpoint
        self._keep_alive = keep_alive
        self._session: _LoopSession | None = None

    @asynccontextmanager
    async def post(self, endpoint: Endpoint, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post a body; leaving the context early also cancels the call at the endpoint.

        Raises EndpointUnavailable for a transport error, ModelNotFound for an unknown model, EndpointRefusal for any
        other status than 200, and StudentError for a time-out.
        """
        pool = self._session_for_loop()
        async with pool.permits:
            try:
                async with await pool.post(endpoint, body) as response:
                    if response.status != 200:
                        raise _refusal(endpoint.model, response.status, await _read_start(response))
                    try:
                        yield response
                    finally:
                        if not response.content.at_eof():
                            response.close()
            except TimeoutError as error:
                message = f"{endpoint.model!r} gave no answer within {endpoint.timeout_seconds:g} s"
                raise StudentError(message) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise EndpointUnavailable(
                    f"{endpoint.model!r} is unavailable, or the connection broke: {type(error).__name__}"
                ) from error

    async def close(self) -> None:
        """Close the connections once the calls in progress have ended, each within its time-out."""
        pool, self._session = self._session, None
        if pool is not None:
            await pool.close()

    def _session_for_loop(self) -> "_LoopSession":
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            self._session = _LoopSession(self._endpoint, loop, self._keep_alive)
        return self._session


class EndpointPools:
    """Connection pools by endpoint, shared by all models that an endpoint serves."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str, int], EndpointPool] = {}

    def get(self, endpoint: Endpoint) -> EndpointPool:
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        return self._pools.setdefault((endpoint.base_url, key, endpoint.concurrency), EndpointPool(endpoint))

    async def close(self) -> None:
        """Close all pools."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))


class _LoopSession:
    """Session in one event loop, with a permit for each call that may be in progress."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop, keep_alive: bool) -> None:
        key = endpoint.api_key
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key.get_secret_value()}"
        self.loop = loop
        self.permits = asyncio.Semaphore(endpoint.concurrency)
        self._concurrency = endpoint.concurrency
        # The permits limit the calls in progress before the time-out begins, so the connector must not limit them.
        connector = (
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
            if keep_alive
            else aiohttp.TCPConnector(limit=0, force_close=True)
        )
        self.session = aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar())

    async def post(self, endpoint: Endpoint, body: bytes) -> aiohttp.ClientResponse:
        """Post a body; retry once if the connection was closed before any part of an answer arrived.

        llama.cpp announces keep-alive but closes connections after a stream; others may close an idle one just then.
        """
        ends = self.loop.time() + endpoint.timeout_seconds
        try:
            return await self._post(endpoint, body, endpoint.timeout_seconds)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) or self.session.closed:
                raise
            return await self._post(endpoint, body, max(ends - self.loop.time(), _LEAST_S))

    async def _post(self, endpoint: Endpoint, body: bytes, timeout_s: float) -> aiohttp.ClientResponse:
        return await self.session.post(
            endpoint.url,
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def close(self) -> None:
        try:
            # With every permit held, no call is in progress.
            for _ in range(self._concurrency):
                await self.permits.acquire()
        finally:
            await self.session.close()


async def _read_start(response: aiohttp.ClientResponse) -> bytes:
    """Read the beginning of a response."""
    start = b""
    async for piece in response.content.iter_any():
        start += piece
        if len(start) >= _MOST_OF_AN_ERROR:
            break
    return start


def _refusal(model: str, status: int, body: bytes) -> EndpointRefusal:
    """Return the error of a response, without its text, which may contain the prompt."""
    text = body.decode(errors="replace").lower()
    missing = "model_not_found" in text or ("model" in text and ("not exist" in text or "not found" in text))
    if status in (400, 404) and missing:
        return ModelNotFound(
            f"{model!r} does not exist: the endpoint answered HTTP {status}, it serves no such model or adapter", status
        )
    return EndpointRefusal(f"{model!r} answered HTTP {status}", status)
