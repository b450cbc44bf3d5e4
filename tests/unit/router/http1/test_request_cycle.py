"""Responses that are sent whole: what the two events of ASGI send, at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from understudies.router.endpoints.dispatch import _SendTracker
from understudies.router.endpoints.responses import send_response
from understudies.router.http1.request_cycle import RequestCycle
from understudies.router.http1.server import HttpServer

HEADERS = {"x-request-id": "r-1", "x-name": "Grüße"}


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    try:
        yield int(server.url.rsplit(":", 1)[1])
    finally:
        await server.stop()


async def ask(port: int, head: str) -> bytes:
    """What a server answers to a request, without its date."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"date: "))


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\nhost: a\ncontent-length: 0\nconnection: close",
        "POST / HTTP/1.0\ncontent-length: 0",
        "HEAD / HTTP/1.1\nhost: a\nconnection: close",
    ],
)
@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, HEADERS), (200, {**HEADERS, "content-type": "text/plain"}), (503, {"connection": "close"}), (204, {})],
)
async def test_a_whole_response_has_the_bytes_of_two_events(head: str, status: int, headers: Mapping[str, str]) -> None:
    body = b"" if status == 204 else b'{"a": 1}'

    async def by_events(scope: Scope, receive: Receive, send: Send) -> None:
        await send_response(send, status, headers, body)

    async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
        sent = _SendTracker(send, scope["method"])
        await send_response(sent, status, headers, body)
        assert sent.begun

    async with serving(by_events) as events, serving(at_once) as whole:
        assert await ask(whole, head) == await ask(events, head)


@pytest.mark.parametrize("headers", [{"x-a": "1\r\nx-b: 2"}, {"x a": "1"}, {"x-a:": "1"}, {"x-a": "\x00"}])
async def test_a_header_that_would_break_the_response_is_refused(headers: Mapping[str, str]) -> None:
    refused: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        cycle: object = getattr(send, "__self__", None)
        assert isinstance(cycle, RequestCycle)
        try:
            await cycle.send_response(200, headers, b"")
        except RuntimeError as error:
            refused.append(str(error))
        await cycle.send_response(200, {}, b"")
        with pytest.raises(RuntimeError, match="already begun"):
            await cycle.send_response(200, {}, b"")

    async with serving(app) as port:
        answer = await ask(port, "POST / HTTP/1.1\nhost: a\ncontent-length: 0\nconnection: close")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert refused[0].startswith("Invalid HTTP header")
