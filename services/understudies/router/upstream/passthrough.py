"""Forward requests under /v1 that the router does not handle itself to a teacher, and stream the answers back."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from yarl import URL

from understudies.router.call import TeacherError
from understudies.router.http1.client import HttpClient
from understudies.router.http1.response import HttpResponse, ServerDisconnected
from understudies.router.upstream.failures import TRANSPORT_ERRORS, failure_from_status, failure_from_transport_error
from understudies.router.upstream.headers import forwarded_request_headers, forwarded_response_headers, teacher_headers
from understudies.runtime.rules.teacher import TeacherSpec

PassthroughBody = bytes | AsyncIterator[bytes] | None

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_STATELESS_SUFFIXES: Final = ("/embeddings", "/moderations", "/count_tokens", "/input_tokens")
"""Path suffixes of POST requests without side effects: a repeat costs little, where an agent's call would fail."""
_UNDER_V1: Final = re.compile(r"/v1(?:[/?][!\"$-~]*)?")
_SLASH: Final = re.compile(r"/|\\|%2f|%5c", re.IGNORECASE)
_DOTS: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


class PassthroughResponse:
    """A streamed passthrough answer: iterate it once; call `close` if it is not read to its end.

    `headers` may contain a name twice. The body is as the teacher sent it, in the encoding that the headers name.
    """

    def __init__(self, reply: HttpResponse, spec: TeacherSpec) -> None:
        self.status = reply.status
        self.headers: list[tuple[str, str]] = forwarded_response_headers(reply.headers())
        self.teacher = spec.name
        self._reply = reply
        self._idle_s = spec.timeouts.idle_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes; raises TeacherError if the answer breaks off."""
        try:
            chunk = self._reply.read_nowait()
            if not chunk:
                async with asyncio.timeout(self._idle_s):
                    chunk = await self._reply.read_chunk()
        except TRANSPORT_ERRORS as error:
            await self.close()
            raise failure_from_transport_error(error).error from error
        if not chunk:
            await self.close()
            raise StopAsyncIteration
        return chunk

    async def close(self) -> None:
        """Close the answer without waiting for what the teacher may still be writing."""
        self._reply.close()


async def send_passthrough(
    client: HttpClient,
    spec: TeacherSpec,
    method: str,
    path_and_query: str,
    headers: Mapping[str, str],
    body: PassthroughBody,
) -> PassthroughResponse:
    """Send a request to a teacher and return its answer; raises TeacherError."""
    url = _url(spec, path_and_query)
    forwarded = _body_headers(forwarded_request_headers(headers), body)
    teacher_request_headers = teacher_headers(
        spec, "messages" if speaks_anthropic(path_and_query, forwarded) else "chat", forwarded
    )
    try:
        async with asyncio.timeout(spec.timeouts.first_byte_s):
            reply = await _send_with_retry(client, spec, method, url, teacher_request_headers, body)
            if reply.status == 401 and spec.has_own_key:
                reply.close()
                raise failure_from_status(401, [], b"", spec).error
    except TRANSPORT_ERRORS as error:
        raise failure_from_transport_error(error).error from error
    return PassthroughResponse(reply, spec)


def speaks_anthropic(path: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request uses Anthropic's API; headers are named in lower case."""
    return "anthropic-version" in headers or path.startswith("/v1/messages")


async def _send_with_retry(
    client: HttpClient, spec: TeacherSpec, method: str, url: URL, headers: Mapping[str, str], body: PassthroughBody
) -> HttpResponse:
    connect_s = spec.timeouts.connect_s
    try:
        return await client.send(method, url, headers, body, connect_s=connect_s, decompress=False)
    except ServerDisconnected:
        # The teacher may just have closed the kept connection, or have processed the request: repeat it, once, only if
        # that is harmless.
        harmless = method in _IDEMPOTENT or "idempotency-key" in headers or url.path.endswith(_STATELESS_SUFFIXES)
        if not harmless or not (body is None or isinstance(body, bytes)):
            raise
        return await client.send(method, url, headers, body, connect_s=connect_s, decompress=False)


def _body_headers(headers: Mapping[str, str], body: PassthroughBody) -> dict[str, str]:
    """Drop headers about a body that is not sent, or whose length the client writes itself.

    A length without a body would make the teacher take the next request on the connection, another caller's, for it.
    """
    dropped = "content-" if body is None else "content-length" if isinstance(body, bytes) else None
    return {name: value for name, value in headers.items() if dropped is None or not name.startswith(dropped)}


def _url(spec: TeacherSpec, path_and_query: str) -> URL:
    path = path_and_query.partition("?")[0]
    if not _UNDER_V1.fullmatch(path_and_query) or any(_DOTS.fullmatch(step) for step in _SLASH.split(path)):
        raise TeacherError(404, "only plain paths under /v1 are passed through", code="not_found")
    return URL(spec.base_url + path_and_query.removeprefix("/v1"), encoded=True)
