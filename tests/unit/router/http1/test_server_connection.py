"""What a caller may do on a connection, as bytes."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.errors import ClientDisconnected
from understudies.router.endpoints.request_body import read_body
from understudies.router.http1.coalescing import CoalescingTransport
from understudies.router.http1.disconnect import client_connection
from understudies.router.http1.server import HttpServer
from understudies.router.http1.server_connection import ConnectionLimits, ServerConnection

IMPATIENT = ConnectionLimits(slow_client_window_s=0.05)
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


class RawClient:
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

    @property
    def all_taken(self) -> bool:
        """Whether the other side has all that was sent, or the system between."""
        return self._writer.transport.get_write_buffer_size() == 0

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
async def connected(app: ASGIApp, limits: ConnectionLimits | None = None) -> AsyncIterator[RawClient]:
    server = HttpServer(app, "127.0.0.1", 0, limits=limits)
    await server.start()
    try:
        caller = RawClient(*await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        try:
            async with asyncio.timeout(10):
                yield caller
        finally:
            await caller.close()
    finally:
        await server.stop()


async def refused(caller: RawClient) -> tuple[int, Any]:
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
        async with connected(app, ConnectionLimits(head_bytes=1000)) as caller:
            caller.send(POST)
            for piece in pieces:
                caller.send(piece)
            assert await refused(caller) == (431, "headers_too_large")
        assert not app.scopes


async def test_headers_that_come_with_their_body_have_the_same_limit() -> None:
    app = App()
    async with connected(app, ConnectionLimits(head_bytes=1000)) as caller:
        caller.send(POST + b"content-length: 5000\r\n\r\n" + b"a" * 5000)
        assert (await caller.response())[0] == 200
        caller.send(POST + b"x: " + b"a" * 2000 + b"\r\ncontent-length: 3\r\n\r\nabc")
        assert await refused(caller) == (431, "headers_too_large")
    assert len(app.scopes) == 1


async def test_trailers_are_limited_and_are_no_headers() -> None:
    app = App()
    async with connected(app, ConnectionLimits(head_bytes=1000)) as caller:
        caller.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nauthorization: b\r\n\r\n")
        assert await caller.response() == (200, b"a")
        assert b"authorization" not in dict(app.scopes[0]["headers"])
        caller.send(POST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        caller.send(b"0\r\nx: " + b"a" * 1_000_000)
        assert await refused(caller) == (431, "headers_too_large")


async def test_a_body_has_no_limit_here() -> None:
    body = b"a" * 3_000_000
    async with connected(App(), ConnectionLimits(head_bytes=1000)) as caller:
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
        asyncio.get_running_loop().call_later(4 * IMPATIENT.slow_client_window_s, app.answer.set)
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


async def test_a_caller_that_asked_twice_and_hangs_up_is_reported() -> None:
    app = App()
    app.answer.clear()
    async with connected(app) as caller:
        caller.send(2 * (POST + b"content-length: 3\r\n\r\nabc"))
        await app.asked.wait()
        await caller.close()
        await app.hung_up.wait()
    assert len(app.scopes) == 1


@pytest.mark.parametrize("size", [0, 3, 200_000])
async def test_who_works_for_a_caller_is_told_that_it_hung_up(size: int) -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive, None, 1_000_000)
        try:
            with CancelScope(client_connection(scope)):
                begun.set()
                await asyncio.Event().wait()
        except ClientDisconnected:
            told.set()

    async with connected(works) as caller:
        caller.send(POST + b"content-length: %d\r\n\r\n" % size)
        await asyncio.sleep(0.01)
        caller.send(b"a" * size)
        await begun.wait()
        await caller.close()
        await told.wait()


async def test_garbage_behind_a_request_is_not_taken_for_its_answer() -> None:
    app = App()
    app.answer.clear()
    async with connected(app) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        await app.asked.wait()
        caller.send(b"\0garbage\r\n\r\n")
        assert await caller.rest() == b""
        await app.hung_up.wait()


@pytest.mark.parametrize("word", [b"Upgrade", b"upgrade", b"UPGRADE", b"uPgRaDe"])
async def test_an_offer_of_another_protocol_is_passed_over_and_the_body_kept(word: bytes) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\n" + word + b": h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    async with connected(App()) as caller:
        for head in (offer, b""):
            caller.send(POST + head + b"content-length: 3\r\n\r\nabc")
            assert await caller.response() == (200, b"abc")


async def test_so_is_one_that_is_cut_anywhere() -> None:
    request = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\ncontent-length: 3\r\n\r\n\nup"
    begin = request.index(b"\r\nUpgrade")
    server = HttpServer(App(), "127.0.0.1", 0)
    await server.start()
    for cut in (*range(begin, begin + 12), len(request) - 1):
        caller = RawClient(*await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
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


def came(server: HttpServer, count: int) -> bool:
    """Whether so many bytes have come on the one connection that there is."""
    connections = cast(set[ServerConnection], server._uvicorn.server_state.connections)
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

    corked = CoalescingTransport(cast(asyncio.Transport, Wire()), asyncio.get_running_loop())
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


class Says:
    """Sends what it was given, whatever it is asked; `wrong` is what was wrong with it."""

    def __init__(self, *messages: Message) -> None:
        self._messages = messages
        self.scope: Scope = {}
        self.wrong = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        try:
            for message in self._messages:
                await send(message)
        except Exception as error:
            self.wrong = str(error)
            raise


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, last: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": not last}


def request(method: bytes = b"GET", target: bytes = b"/", version: bytes = b"1.1", *headers: bytes) -> bytes:
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), b"host: a", *headers, b"", b""])


LAST: Final = request(b"GET", b"/", b"1.1", b"connection: close")
LENGTH: Final = (b"content-length", b"3")
FAILED: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n"
    b"connection: close\r\n\r\nInternal Server Error"
)


async def told(app: ASGIApp, *asked: bytes) -> bytes:
    """All that a caller gets until it is hung up on, without the time of day."""
    async with connected(app) as caller:
        for one in asked:
            caller.send(one)
        return re.sub(rb"date: [^\r]+ GMT\r\n", b"", await caller.rest())


OK: Final = b"HTTP/1.1 200 OK\r\n"
CLOSE: Final = b"connection: close\r\n"
ANSWERS: Final[dict[str, tuple[list[Message], bytes, bytes]]] = {
    "a length": ([start(LENGTH), part(b"abc", last=True)], LAST, OK + b"content-length: 3\r\n" + CLOSE + b"\r\nabc"),
    "a length, in pieces": (
        [start(LENGTH), part(b""), part(b"a"), part(b"bc"), part(b"", last=True)],
        LAST,
        OK + b"content-length: 3\r\n" + CLOSE + b"\r\nabc",
    ),
    "no length": (
        [start((b"x", b"y")), part(b""), part(b"a" * 20), part(b"bc"), part(b"", last=True)],
        LAST,
        OK
        + b"x: y\r\n"
        + CLOSE
        + b"transfer-encoding: chunked\r\n\r\n14\r\n"
        + b"a" * 20
        + b"\r\n2\r\nbc\r\n0\r\n\r\n",
    ),
    "no length, at once": (
        [{"type": "http.response.start", "status": 200}, part(b"abc", last=True)],
        LAST,
        OK + CLOSE + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    "chunks as the application says": (
        [start((b"Transfer-Encoding", b"Chunked"), LENGTH), part(b"a"), {"type": "http.response.body"}],
        LAST,
        OK + b"transfer-encoding: Chunked\r\ncontent-length: 3\r\n" + CLOSE + b"\r\n1\r\na\r\n0\r\n\r\n",
    ),
    "names in lower case": (
        [start((b"X-Y", b"A \t\xe9"), (b"Content-Length", b"0")), part(b"", last=True)],
        LAST,
        OK + b"x-y: A \t\xe9\r\ncontent-length: 0\r\n" + CLOSE + b"\r\n",
    ),
    "the application hangs up": (
        [start(LENGTH, (b"Connection", b"x, Close")), part(b"abc", last=True)],
        request(),
        OK + b"content-length: 3\r\nconnection: x, Close\r\n\r\nabc",
    ),
    "HEAD with a length": (
        [start(LENGTH), part(b"abc", last=True)],
        request(b"HEAD", b"/", b"1.1", b"connection: close"),
        OK + b"content-length: 3\r\n" + CLOSE + b"\r\n",
    ),
    "HEAD without one": (
        [start(), part(b"abc"), part(b"d", last=True)],
        request(b"HEAD", b"/", b"1.1", b"connection: close"),
        OK + CLOSE + b"\r\n",
    ),
    "no content": (
        [start(status=204), part(b"", last=True)],
        LAST,
        b"HTTP/1.1 204 No Content\r\n" + CLOSE + b"\r\n",
    ),
    "not modified": (
        [start(status=304), part(b"", last=True)],
        LAST,
        b"HTTP/1.1 304 Not Modified\r\n" + CLOSE + b"\r\n",
    ),
    "a status without a name": (
        [start(LENGTH, status=499), part(b"abc", last=True)],
        LAST,
        b"HTTP/1.1 499 \r\ncontent-length: 3\r\n" + CLOSE + b"\r\nabc",
    ),
    "HTTP/1.0": (
        [start(LENGTH), part(b"abc", last=True)],
        request(b"GET", b"/", b"1.0", b"connection: keep-alive"),
        OK + b"content-length: 3\r\n" + CLOSE + b"\r\nabc",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_goes_out_as(case: str) -> None:
    messages, asked, expected = ANSWERS[case]
    app = Says(*messages)
    assert await told(app, asked) == expected
    assert not app.wrong


WRONG: Final[dict[str, tuple[list[Message], str, bytes]]] = {
    "nothing": ([], "", FAILED),
    "a body without a head": ([part(b"abc")], "Expected ASGI message 'http.response.start'", FAILED),
    "two heads": ([start(LENGTH), start(LENGTH)], "Expected ASGI message 'http.response.body'", b"content-length: 3"),
    "a head alone": ([start(LENGTH)], "", b"content-length: 3"),
    "no end": ([start(), part(b"abc")], "", b"3\r\nabc\r\n"),
    "too much": ([start(LENGTH), part(b"ab"), part(b"cd")], "longer than Content-Length", b"ab"),
    "too little": ([start(LENGTH), part(b"ab", last=True)], "shorter than Content-Length", b"ab"),
    "a body where none may be": ([start(status=204), part(b"a", last=True)], "longer than Content-Length", b"\r\n"),
    "more after the end": ([start(LENGTH), part(b"abc", last=True), part(b"d")], "already completed", b"abc"),
    **{
        f"{name!r} as a name": ([start(LENGTH, (name, b"x"))], "Invalid HTTP header name", b"")
        for name in (b"a\rb", b"a\nb", b"a\0b", b"a:b", b"a b", b"a\tb", b'a"b', b"a\\b", b"a(", b"a\x7f", b"a\x1f")
    },
    **{
        f"{value!r} as a value": ([start((b"a", value), LENGTH)], "Invalid HTTP header value", b"")
        for value in (b"a\rb", b"a\nb", b"a\r\nx: y", b"a\0b", b"\x0b", b"\x7f")
    },
}


@pytest.mark.parametrize("case", WRONG)
async def test_an_answer_that_cannot_be_sent_ends_the_connection(case: str) -> None:
    messages, wrong, sent = WRONG[case]
    app = Says(*messages)
    got = await told(app, request())
    assert wrong in app.wrong
    assert bool(wrong) is bool(app.wrong)
    assert got == sent if sent in (b"", FAILED) else got.endswith((sent, sent + b"\r\n", sent + b"\r\n\r\n"))


@pytest.mark.parametrize("begun", [False, True])
async def test_an_application_that_fails_ends_the_connection(begun: bool) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send(start(LENGTH))
            await send(part(b"ab"))
        raise ValueError("ours")

    got = await told(fails, request())
    assert got == (OK + b"content-length: 3\r\n\r\nab" if begun else FAILED)


async def test_what_was_asked_is_told_as_it_was_asked() -> None:
    app = Says(start(LENGTH), part(b"abc", last=True))
    await told(app, request(b"PUT", b"/a%20b/%C3%A9?c=%20d&e", b"1.0", b"X-Y: Z", b"x-y: \xe9", b"content-length: 0"))
    scope = app.scope
    assert (scope["type"], scope["method"], scope["http_version"], scope["scheme"]) == ("http", "PUT", "1.0", "http")
    assert (scope["path"], scope["raw_path"]) == ("/a b/\u00e9", b"/a%20b/%C3%A9")
    assert (scope["query_string"], scope["root_path"], scope["state"]) == (b"c=%20d&e", "", {})
    assert scope["headers"] == [(b"host", b"a"), (b"x-y", b"Z"), (b"x-y", b"\xe9"), (b"content-length", b"0")]
    assert scope["asgi"]["spec_version"] == "2.3"
    assert (scope["client"][0], scope["server"][0]) == ("127.0.0.1", "127.0.0.1")


async def test_requests_that_come_together_are_answered_in_their_order() -> None:
    app = App()
    async with connected(app) as caller:
        bodies = [b"%d" % number * (number + 1) for number in range(5)]
        caller.send(b"".join(POST + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies))
        assert [await caller.response() for _ in bodies] == [(200, body) for body in bodies]
    assert app.bodies == bodies


async def test_who_waits_to_be_asked_for_the_body_is_asked() -> None:
    async with connected(App()) as caller:
        caller.send(POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await caller.head() == 100
        caller.send(b"abc")
        assert await caller.response() == (200, b"abc")
    answered = Says(start(LENGTH), part(b"abc", last=True))
    async with connected(answered) as caller:
        caller.send(POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await caller.response() == (200, b"abc")


async def test_a_body_of_very_small_chunks_is_taken_in() -> None:
    async with connected(App()) as caller:
        caller.send(POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_000 + b"0\r\n\r\n")
        assert await caller.response() == (200, b"a" * 200_000)


async def test_a_body_that_nobody_reads_is_not_taken_in() -> None:
    read = asyncio.Event()
    size = 0

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal size
        await read.wait()
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send(start(LENGTH))
        await send(part(b"abc", last=True))

    async with connected(waits) as caller:
        length = 30_000_000
        caller.send(POST + b"content-length: %d\r\n\r\n" % length + b"a" * length)
        await asyncio.sleep(0.1)
        assert not caller.all_taken
        read.set()
        assert await caller.response() == (200, b"abc")
        assert size == length


async def test_a_body_that_nobody_wants_is_passed_over() -> None:
    async with connected(Says(start(LENGTH), part(b"abc", last=True))) as caller:
        for _ in range(2):
            caller.send(POST + b"content-length: 300000\r\n\r\n")
            assert await caller.response() == (200, b"abc")
            caller.send(b"x" * 300_000)


async def test_an_answer_that_nobody_takes_waits() -> None:
    sent = 0

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        for _ in range(1000):
            await send(part(b"a" * 100_000))
            sent += 1
        await send(part(b"", last=True))

    async with connected(much) as caller:
        caller.send(LAST)
        await asyncio.sleep(0.2)
        assert 0 < sent < 1000
        assert (await caller.rest()).endswith(b"0\r\n\r\n")
    assert sent == 1000


async def test_who_was_answered_may_come_back_for_a_while() -> None:
    async with connected(App(), ConnectionLimits(slow_client_window_s=0.05, idle_s=1)) as caller:
        for _ in range(2):
            caller.send(POST + b"content-length: 3\r\n\r\nabc")
            assert await caller.response() == (200, b"abc")
            await asyncio.sleep(4 * IMPATIENT.slow_client_window_s)
        last = time.monotonic()
        assert await caller.rest() == b""
        assert 0.7 < time.monotonic() - last < 1.5


async def test_an_answer_is_not_hurried_by_a_connection_s_age() -> None:
    app = App()
    async with connected(app, ConnectionLimits(idle_s=1)) as caller:
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        assert await caller.response() == (200, b"abc")
        app.answer.clear()
        caller.send(POST + b"content-length: 3\r\n\r\nabc")
        asyncio.get_running_loop().call_later(1.3, app.answer.set)
        assert await caller.response() == (200, b"abc")


@pytest.mark.parametrize("version", [b" HTTP/2.0", b" HTTP/0.9", b""])
async def test_other_versions_are_refused(version: bytes) -> None:
    app = App()
    async with connected(app) as caller:
        caller.send(b"POST /" + version + b"\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        status, body = await caller.response()
    assert (status, b"http_version_not_supported" in body) == (505, True)
    assert app.scopes == []
