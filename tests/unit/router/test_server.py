"""Listening as part of a process."""

import socket

import aiohttp
import pytest
from starlette.applications import Starlette

from understudies.router.server import Server


async def test_it_listens_on_a_free_port_until_it_is_stopped() -> None:
    server = Server(Starlette(), "127.0.0.1", 0)
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
        server = Server(Starlette(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    server = Server(Starlette(), "127.0.0.1", 0)
    await server.start()
    assert server._socket is not None
    assert server._socket.proto == socket.IPPROTO_TCP
    await server.stop()


async def test_several_may_share_an_address_where_all_of_them_agree() -> None:
    first = Server(Starlette(), "127.0.0.1", 0, reuse_port=True)
    await first.start()
    port = int(first.url.rsplit(":", 1)[1])
    second = Server(Starlette(), "127.0.0.1", port, reuse_port=True)
    await second.start()
    assert second.url == first.url
    with pytest.raises(OSError, match="in use"):
        await Server(Starlette(), "127.0.0.1", port).start()
    await first.stop()
    async with aiohttp.ClientSession() as session, session.get(second.url) as response:
        assert response.status == 404
    await second.stop()
