"""Listening as part of a process."""

import asyncio
import socket

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from understudies.router.http1.server import HttpServer


async def test_it_listens_on_a_free_port_until_it_is_stopped() -> None:
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.url
    await server.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url) as response:
            assert response.status == 404
        url = server.url
        await server.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    await server.stop()


async def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(Starlette(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    await server.start()
    assert server._socket is not None
    assert server._socket.proto == socket.IPPROTO_TCP
    await server.stop()


async def test_several_may_share_an_address_where_all_of_them_agree() -> None:
    first = HttpServer(Starlette(), "127.0.0.1", 0, reuse_port=True)
    await first.start()
    port = int(first.url.rsplit(":", 1)[1])
    second = HttpServer(Starlette(), "127.0.0.1", port, reuse_port=True)
    await second.start()
    assert second.url == first.url
    with pytest.raises(OSError, match="in use"):
        await HttpServer(Starlette(), "127.0.0.1", port).start()
    await first.stop()
    async with aiohttp.ClientSession() as session, session.get(second.url) as response:
        assert response.status == 404
    await second.stop()


async def test_a_stop_finishes_what_has_begun_and_hangs_up() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"abc"})

    server = HttpServer(slow, "127.0.0.1", 0)
    await server.start()
    port = int(server.url.rsplit(":", 1)[1])
    idle, unused = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    async with asyncio.timeout(10):
        await asked.wait()
        stopping = asyncio.create_task(server.stop())
        assert await idle.read() == b""
        assert not stopping.done()
        answer.set()
        assert (await reader.read()).endswith(b"\r\nconnection: close\r\n\r\nabc")
        await stopping
    unused.close()
    writer.close()
    assert not server._uvicorn.server_state.tasks
    assert not server._uvicorn.server_state.connections


async def test_what_is_not_finished_in_time_is_given_up() -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    server = HttpServer(hangs, "127.0.0.1", 0, grace_s=1)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    async with asyncio.timeout(10):
        await asked.wait()
        await server.stop()
        await given_up.wait()
        assert (await reader.read()).startswith(b"HTTP/1.1 500 ")
    writer.close()
