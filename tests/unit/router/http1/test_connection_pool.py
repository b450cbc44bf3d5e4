"""Connections to teachers, byte for byte."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from understudies.router.http1.connection_pool import ConnectionPool
from understudies.router.http1.response import (
    ConnectError,
    ProtocolError,
    ResponseTooLarge,
    ServerDisconnected,
    StreamedResponse,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"
LIMIT = 1_000_000


class Teacher:
    """Says what it is told to, one answer for each request."""

    def __init__(self) -> None:
        self.answers: list[bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.url = URL()
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0) if self.answers else OK
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
        self.gone.set()
        self.hang_up(writer)

    def hang_up(self, writer: asyncio.StreamWriter | None = None) -> None:
        for one in [writer] if writer else [*self._open]:
            one.close()
            self._open.discard(one)


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Teacher]:
    teacher = Teacher()
    server = await asyncio.start_server(teacher.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    teacher.url = URL(f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/v1/chat?a=%20b", encoded=True)
    try:
        async with asyncio.timeout(20):
            yield teacher
    finally:
        server.close()
        teacher.hang_up()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def wired(at_once: int = 100, keep_s: float = 30.0) -> AsyncIterator[ConnectionPool]:
    wires = ConnectionPool(max_connections=at_once, keep_alive_s=keep_s)
    try:
        yield wires
    finally:
        wires.close()


async def ask(wires: ConnectionPool, teacher: Teacher, body: bytes = b"{}") -> StreamedResponse:
    return await wires.post(teacher.url, {"x-a": "b"}, body, connect_s=5)


async def asked(wires: ConnectionPool, teacher: Teacher, body: bytes = b"{}") -> bytes:
    reply = await ask(wires, teacher, body)
    try:
        return await reply.read_all(LIMIT, lambda: None)
    finally:
        reply.close()


async def test_a_request_is_sent_as_it_is_and_the_connection_kept() -> None:
    async with serving() as teacher, wired() as wires:
        for body in (b"one", b"x" * 300_000):
            assert await asked(wires, teacher, body) == b"abc"
        assert teacher.bodies == [b"one", b"x" * 300_000]
        assert teacher.connections == 1
        lines = teacher.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/chat?a=%20b HTTP/1.1"
    assert set(lines[1:]) == {f"host: localhost:{teacher.url.port}", "content-length: 3", "x-a: b", ""}


async def test_headers_come_with_names_in_lower_case() -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [b"HTTP/1.1 404 No\r\nContent-Type: Text/Plain; x=y\r\nX-B: c\r\nContent-Length: 0\r\n\r\n"]
        reply = await ask(wires, teacher)
        assert (reply.status, reply.content_type) == (404, "text/plain")
        assert ("x-b", "c") in reply.headers()
        assert await reply.read_all(LIMIT, lambda: None) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\ntrailer: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 23\r\n\r\n"
        + (lambda packer: packer.compress(b"abc") + packer.flush())(zlib.compressobj(wbits=31)),
    ],
)
async def test_bodies_come_in_many_frames(answer: bytes) -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [answer]
        assert await asked(wires, teacher) == b"abc"
        assert await asked(wires, teacher) == b"abc"
        assert teacher.connections == 1


async def test_a_body_may_end_with_its_connection() -> None:
    async def until_the_end(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        writer.close()

    async with serving() as teacher, wired() as wires:
        teacher.answers = [until_the_end]
        assert await asked(wires, teacher) == b"abc"
        assert await asked(wires, teacher) == b"abc"
        assert teacher.connections == 2


async def test_a_connection_that_the_teacher_wants_closed_is_not_kept() -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"]
        assert await asked(wires, teacher) == b"abc"
        assert await asked(wires, teacher) == b"abc"
        assert teacher.connections == 2


async def test_what_was_not_asked_for_is_nobodys_answer() -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"]
        assert await asked(wires, teacher) == b"abc"
        assert await asked(wires, teacher) == b"abc"
        assert teacher.connections == 2


async def test_a_connection_that_is_too_old_is_made_again() -> None:
    async with serving() as teacher, wired(keep_s=-1.0) as wires:
        assert await asked(wires, teacher) == b"abc"
        assert await asked(wires, teacher) == b"abc"
        assert teacher.connections == 2


async def test_no_more_go_out_at_once_than_may() -> None:
    together = asyncio.Barrier(3)
    now, most = 0, 0

    async def slowly(writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await together.wait()
        now -= 1
        writer.write(OK)

    async with serving() as teacher, wired(at_once=3) as wires:
        teacher.answers = [slowly] * 12
        found = await asyncio.gather(*(asked(wires, teacher) for _ in range(12)))
        assert found == [b"abc"] * 12
        assert (most, teacher.connections) == (3, 3)


async def test_an_answer_that_breaks_off_says_so_after_what_came() -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(OK[:-1])
        writer.close()

    async with serving() as teacher, wired() as wires:
        teacher.answers = [half]
        reply = await ask(wires, teacher)
        assert await reply.read_chunk() == b"ab"
        with pytest.raises(ProtocolError, match="ended"):
            await reply.read_chunk()


async def test_a_connection_that_ends_before_a_byte_was_dropped() -> None:
    async def nothing(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving() as teacher, wired() as wires:
        teacher.answers = [nothing]
        with pytest.raises(ServerDisconnected):
            await ask(wires, teacher)


@pytest.mark.parametrize(
    "answer",
    [
        b"moo\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc",
    ],
)
async def test_what_is_no_answer_is_broken(answer: bytes) -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [answer]
        with pytest.raises(ProtocolError):
            await asked(wires, teacher)
        assert await asked(wires, teacher) == b"abc"


def packed(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", packed(b"a", 31) + packed(b"", 31) + packed(b"bc", 31)),
        (b"GZIP", packed(b"abc", 31) + b"\0\0"),
        (b"gzip", packed(b"abc", 15)),
        (b"deflate", packed(b"abc", 15) + b"\0"),
        (b"deflate", packed(b"abc", -15)),
        (b"deflate", zlib.compress(b"abc", 0)[2:-4]),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
async def test_packed_bodies_come_in_every_form_that_servers_use(encoding: bytes, body: bytes, size: int) -> None:
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ntransfer-encoding: chunked\r\n\r\n" % encoding
    async with serving() as teacher, wired() as wires:
        teacher.answers = [head + chunks + b"0\r\n\r\n"]
        assert await asked(wires, teacher) == b"abc"


async def test_a_packed_body_of_too_many_members_is_broken() -> None:
    body = packed(b"", 31) * 1001
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with serving() as teacher, wired() as wires:
        teacher.answers = [head + body]
        with pytest.raises(ProtocolError, match="members"):
            await asked(wires, teacher)


async def test_a_packed_body_that_is_broken_is_broken() -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"]
        with pytest.raises(ProtocolError, match="compressed"):
            await asked(wires, teacher)


@pytest.mark.parametrize("answer", [b"content-length: 20\r\n\r\n", b"transfer-encoding: chunked\r\n\r\nb\r\n"])
async def test_more_than_the_limit_is_too_large(answer: bytes) -> None:
    async with serving() as teacher, wired() as wires:
        teacher.answers = [b"HTTP/1.1 200 OK\r\n" + answer + b"hello world\r\n"]
        reply = await ask(wires, teacher)
        with pytest.raises(ResponseTooLarge):
            await reply.read_all(10, lambda: None)
        reply.close()
        await teacher.gone.wait()


async def test_a_reader_that_is_slow_slows_the_teacher() -> None:
    body = b"x" * 20_000_000
    sent = asyncio.Event()

    async def much(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        sent.set()

    async with serving() as teacher, wired() as wires:
        teacher.answers = [much]
        reply = await ask(wires, teacher)
        first = await reply.read_chunk()
        assert not sent.is_set()
        assert first + await reply.read_all(len(body), lambda: None) == body


async def test_giving_up_hangs_up_on_the_teacher_and_harms_no_other() -> None:
    came = asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        came.set()

    async with serving() as teacher, wired(at_once=1) as wires:
        teacher.answers = [never]
        call = asyncio.create_task(asked(wires, teacher))
        await came.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await teacher.gone.wait()
        assert await asked(wires, teacher) == b"abc"


async def test_closing_an_answer_in_the_middle_hangs_up() -> None:
    async def begins(writer: asyncio.StreamWriter) -> None:
        writer.write(OK[:-1])

    async with serving() as teacher, wired(at_once=1) as wires:
        teacher.answers = [begins]
        (await ask(wires, teacher)).close()
        await teacher.gone.wait()
        assert await asked(wires, teacher) == b"abc"


async def test_nobody_there_is_unreachable() -> None:
    async with wired() as wires:
        for url in ("http://127.0.0.1:1/", "http://nobody.invalid/"):
            with pytest.raises(ConnectError):
                await wires.post(URL(url), {}, b"", connect_s=5)


async def test_a_line_break_in_a_header_is_refused() -> None:
    async with serving() as teacher, wired() as wires:
        for value in ("a\r\nx: y", "a\ny", "a\0"):
            with pytest.raises(ValueError, match="line break"):
                await wires.post(teacher.url, {"x-a": value}, b"", connect_s=5)
        assert await asked(wires, teacher) == b"abc"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
async def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(  # noqa: ASYNC221 - some milliseconds
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with serving(tls) as teacher:
        async with wired() as wires:
            with pytest.raises(ConnectError, match="SSLCertVerificationError"):
                await ask(wires, teacher)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with wired() as wires:
            assert await asked(wires, teacher) == b"abc"
            assert await asked(wires, teacher) == b"abc"
        assert teacher.heads
