"""Connections to endpoints, kept open between calls and shared by the students that ask the same one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from understudies.students.base import StudentError
from understudies.students.endpoint.settings import Endpoint

_MOST_OF_AN_ERROR: Final = 65_536
_IDLE_S: Final = 4.0
"""Less than servers keep an idle connection, which is 5 s with uvicorn and llama.cpp."""
_LEAST_S: Final = 0.001


class EndpointPool:
    """A pool of connections to one endpoint.

    It opens with the first call and again after `close`, in whichever event loop asks, so that closing it while
    others still use it costs them a new connection and nothing else.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: _LoopSession | None = None

    @asynccontextmanager
    async def post(self, endpoint: Endpoint, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Post a body; leaving early ends the call at the endpoint too.

        Raises StudentError for all that can go wrong on the way, and for any answer but 200.
        """
        pool = self._session_for_loop()
        async with pool.permits:
            try:
                async with await pool.post(endpoint, body) as response:
                    if response.status != 200:
                        raise StudentError(
                            _describe_refusal(endpoint.model, response.status, await _read_start(response))
                        )
                    try:
                        yield response
                    finally:
                        if not response.content.at_eof():
                            response.close()
            except TimeoutError as error:
                told = f"{endpoint.model!r} gave no answer within {endpoint.timeout_seconds:g} s"
                raise StudentError(told) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise StudentError(
                    f"{endpoint.model!r} cannot be reached, or broke off: {type(error).__name__}"
                ) from error

    async def close(self) -> None:
        """Close the connections once the calls under way have ended, each within its time-out."""
        pool, self._session = self._session, None
        if pool is not None:
            await pool.close()

    def _session_for_loop(self) -> "_LoopSession":
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            self._session = _LoopSession(self._endpoint, loop)
        return self._session


class EndpointPools:
    """One connection for each endpoint, however many models it serves."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str, int], EndpointPool] = {}

    def get(self, endpoint: Endpoint) -> EndpointPool:
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        return self._pools.setdefault((endpoint.base_url, key, endpoint.concurrency), EndpointPool(endpoint))

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(connection.close() for connection in self._pools.values()))


class _LoopSession:
    """A session in one event loop, and as many permits as calls may be under way."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        key = endpoint.api_key
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key.get_secret_value()}"
        self.loop = loop
        self.permits = asyncio.Semaphore(endpoint.concurrency)
        self._concurrency = endpoint.concurrency
        # The permits limit what is under way, before the time-out begins: the connector must not.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
        self.session = aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar())

    async def post(self, endpoint: Endpoint, body: bytes) -> aiohttp.ClientResponse:
        """Post a body, and once more where the connection was closed before anything of an answer came.

        llama.cpp says that it keeps connections and closes them after a stream; others close idle ones just then.
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
            f"{endpoint.base_url.rstrip('/')}/chat/completions",
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def close(self) -> None:
        try:
            # Who holds every permit is alone.
            for _ in range(self._concurrency):
                await self.permits.acquire()
        finally:
            await self.session.close()


async def _read_start(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer."""
    start = b""
    async for piece in response.content.iter_any():
        start += piece
        if len(start) >= _MOST_OF_AN_ERROR:
            break
    return start


def _describe_refusal(model: str, status: int, body: bytes) -> str:
    """What a refusal means; its own words are not repeated, since they may quote the prompt."""
    text = body.decode(errors="replace").lower()
    missing = "model_not_found" in text or ("model" in text and ("not exist" in text or "not found" in text))
    if status in (400, 404) and missing:
        return f"{model!r} is gone: the endpoint answered HTTP {status}, it serves no such model or adapter"
    return f"{model!r} answered HTTP {status}"
