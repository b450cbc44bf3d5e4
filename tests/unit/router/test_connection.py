"""What a caller may do on a connection, as bytes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from understudies.router.connection import Connection, Limits
from understudies.router.corked import Corked
from understudies.router.server import Server

IMPATIENT = Limits(span_s=0.05)
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"


class App:
    """Answers with what it was asked; what it saw is kept."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.asked.set()
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.hung_up.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        if not self.answer.is_set():
            waits = asyncio.ensure_future(receive()), asyncio.ensure_future(self.answer.wait())
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            if waits[0] in done:
                self.hung_up.set()
                return
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


class Caller:
    """A connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def status(self) -> int:
        return (await self.response())[0]

    async def response(self) -> tuple[int, bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), await self._reader.readexactly(length)

    async def head(self) -> int:
        """The status, once the head has come."""
        return int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])

    async def rest_of(self, length: int) -> bytes:
        return await self._reader.readexactly(length)

    async def rest(self) -> bytes:
        """All until the other side hangs up."""
        return await self._reader.read()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def connected(app: ASGIApp, limits: Limits | None = None) -> AsyncIterator[Caller]:
    server = Server(app, "127.0.0.1", 0, limits=limits)
    await server.start()
    try:
        caller = Caller(*await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        try:
            async with asyncio.timeout(10):
                yield caller
        finally:
            await caller.close()
    finally:
        await server.stop()


async def refused(caller: Caller) -> tuple[int, Any]:
    status, body = await caller.response()
    assert await caller.rest() == b""
    return status, json.loads(body)["error"]["code"]


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with connected(App()) as caller:
        for body in (b"one", b"three"):
            caller.send(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert await caller.response() == (200, body)


async def test_a_body_may_come_in_chunks_and_pieces() -> None:
    async with connected(App()) as caller:
        for piece in (POST, b"transfer-encoding: chunked\r\n\r\n3\r\nab", b"c\r\n0\r\n", b"\r\n"):
            caller.send(piece)
        assert await caller.response() == (200, b"abc")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 3\r\ncontent-length: 4\r\n",
        b"content-length : 3\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"x: y\rz: a\r\n",
        b"x: y\nz: a\r\n",
        b" folded: y\r\n",
        b"x: \0\r\n",
    ],
)
async def test_a_request_whose_end_is_in_doubt_is_refused(head: bytes) -> None:
    app = App()
    async with connected(app) as caller:
        caller.send(POST + head + b"\r\nabcd")
        assert await refused(caller) == (400, "bad_request")
    assert not app.bodies


async def test_headers_have_a_limit_whole_or_in_pieces() -> None:
    for pieces in ([b"x: " + b"a" * 2000], [b"x: "] + [b"a" * 500] * 4):
        app = App()
        async with connected(app, Limits(head_bytes=1000)) as caller:
            caller.send(POST)
            for piece in pieces:
                caller.send(piece)
            assert await refused(caller) == (431, "headers_too_large")
        assert not app.scopes


async def test_headers_that_come_with_their_body_have_the_same_limit() -> None:
    app = App()
    async with connected(app, Limits(head_bytes=1000)) as caller:
        caller.send(POST + b"content-length: 5000\r\n\r\n" + b"a" * 5000)
        assert (await caller.response())[0] == 200
        caller.send(POST + b"x: " + b"a" * 2000 + b"\r\ncontent-length: 3\r\n\r\nabc")
        assert await refused(caller) == (431, "headers_too_large")
    assert len(app.scopes) == 1


async def test_trailers_are_limited_and_are_no_headers() -> None:
    app = App()
    async with connected(app, Limits(head_bytes=1000)) as caller:
        caller.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nauthorization: b\r\n\r\n")
        assert await caller.response() == (200, b"a")
        assert b"authorization" not in dict(app.scopes[0]["headers"])
        caller.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        caller.send(b"0\r\nx: " + b"a" * 1_000_000)
        assert await refused(caller) == (431, "headers_too_large")


async def test_a_body_has_no_limit_here() -> None:
    body = b"a" * 3_000_000
    async with connected(App(), Limits(head_bytes=1000)) as caller:
        caller.send(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert await caller.response() == (200, body)


async def test_who_says_nothing_is_hung_up_on() -> None:
    async with connected(App(), IMPATIENT) as caller:
        assert await caller.rest() == b""
    async with connected(App(), IMPATIENT) as caller:
        caller.send(b"\r\n")
        assert await caller.rest() == b""


@pytest.mark.parametrize("begun", [b"PO", POST, POST + b"content-length: 3\r\n\r\na"])
async def test_who_stops_in_the_middle_of_a_request_is_told(begun: bytes) -> None:
    app = App()
    async with connected(app, IMPATIENT) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        assert await caller.status() == 200
        caller.send(begun)
        assert await refused(caller) == (408, "request_timeout")
    assert app.hung_up.is_set() == (len(app.scopes) > 1)


async def test_an_answer_may_take_any_time() -> None:
    app = App()
    app.answer.clear()
    async with connected(app, IMPATIENT) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc" + POST)
        await app.asked.wait()
        asyncio.get_running_loop().call_later(4 * IMPATIENT.span_s, app.answer.set)
        assert await caller.response() == (200, b"abc")
        assert await refused(caller) == (408, "request_timeout")


async def test_a_caller_that_hangs_up_is_reported() -> None:
    app = App()
    app.answer.clear()
    async with connected(app) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        await app.asked.wait()
        await caller.close()
        await app.hung_up.wait()


async def test_garbage_behind_a_request_is_not_taken_for_its_answer() -> None:
    app = App()
    app.answer.clear()
    async with connected(app) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        await app.asked.wait()
        caller.send(b"\0garbage\r\n\r\n")
        assert await caller.rest() == b""
        await app.hung_up.wait()


@pytest.mark.parametrize("word", [b"Upgrade", b"upgrade", b"UPGRADE"])
async def test_an_offer_of_another_protocol_is_passed_over_and_the_body_kept(word: bytes) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\n" + word + b": h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    async with connected(App()) as caller:
        for head in (offer, b""):
            caller.send(POST + head + b"content-length: 3\r\n\r\nabc")
            assert await caller.response() == (200, b"abc")


async def test_so_is_one_that_is_cut_anywhere() -> None:
    request = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\ncontent-length: 3\r\n\r\n\nup"
    begin = request.index(b"\r\nUpgrade")
    server = Server(App(), "127.0.0.1", 0)
    await server.start()
    for cut in (*range(begin, begin + 12), len(request) - 1):
        caller = Caller(*await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        caller.send(request[:cut])
        async with asyncio.timeout(10):
            while not came(server, cut):  # noqa: ASYNC110 - it promises no event
                await asyncio.sleep(0)
            caller.send(request[cut:])
            assert await caller.response() == (200, b"\nup")
        await caller.close()
        while server._uvicorn.server_state.connections:  # noqa: ASYNC110 - it promises no event
            await asyncio.sleep(0)
    await server.stop()


def came(server: Server, count: int) -> bool:
    """Whether so many bytes have come on the one connection that there is."""
    connections = cast(set[Connection], server._uvicorn.server_state.connections)
    return [one._received + len(one._tail) for one in connections] == [count]


async def test_a_head_without_a_body_does_not_wait_for_one() -> None:
    body = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await body.wait()
        await send({"type": "http.response.body", "body": b"abc"})

    async with connected(slow) as caller:
        caller.send(POST + b"content-length: 0\r\n\r\n")
        assert await caller.head() == 200
        body.set()
        assert await caller.rest_of(3) == b"abc"


async def test_head_and_body_that_come_together_are_sent_together() -> None:
    sent: list[bytes] = []

    class Wire:
        def write(self, data: bytes) -> None:
            sent.append(data)

        def is_closing(self) -> bool:
            return bool(sent) and sent[-1] == b"closed"

        def close(self) -> None:
            sent.append(b"closed")

    corked = Corked(cast(asyncio.Transport, Wire()), asyncio.get_running_loop())
    corked.write(b"HTTP/1.1 200 OK\r\n\r\n")
    corked.write(b"body")
    assert sent == []
    await asyncio.sleep(0)
    corked.write(b"more")
    corked.write(b"x" * 100_000)
    corked.write(b"last")
    corked.close()
    corked.write(b"too late")
    await asyncio.sleep(0)
    corked.close()
    assert sent == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more", b"x" * 100_000, b"last", b"closed", b"closed"]
