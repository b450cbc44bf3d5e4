"""Connections are kept open, shared, limited, and closed when nobody is answered over them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.student_server import StudentServer, student_server

from understudies.students.base import StudentError
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPool, EndpointPools
from understudies.students.endpoint.settings import Endpoint

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
async def server() -> AsyncIterator[StudentServer]:
    async with student_server() as server:
        yield server


def chat(server: StudentServer, connections: EndpointPools | None = None, **settings: Any) -> ChatClient:
    endpoint = Endpoint(base_url=server.base_url, **{"model": "a@1", **settings})
    return ChatClient(endpoint, connections.get(endpoint) if connections else EndpointPool(endpoint))


async def text(chat: ChatClient) -> str:
    return (await chat.complete(BODY)).message().text


@pytest.mark.parametrize("streamed", ["always", "never"])
async def test_calls_come_over_one_connection(server: StudentServer, streamed: str) -> None:
    one = chat(server, streamed=streamed)
    for _ in range(5):
        assert await text(one) == "refund"
    await one.close()
    assert len(server.callers) == 1


async def test_without_keep_alive_each_call_has_a_connection_of_its_own(server: StudentServer) -> None:
    endpoint = Endpoint(base_url=server.base_url, model="triage@1")
    client = ChatClient(endpoint, EndpointPool(endpoint, keep_alive=False))
    for _ in range(3):
        await text(client)
    await client.close()
    assert len(server.callers) == 3


async def test_an_endpoint_that_closes_kept_connections_is_asked_over_a_new_one(server: StudentServer) -> None:
    """As llama.cpp does after a stream, without a word."""
    server.behavior = "forget"
    one = chat(server)
    for _ in range(5):
        assert await text(one) == "refund"
    await one.close()
    assert len(server.bodies) == len(server.callers) == 5


async def test_adapters_of_one_endpoint_share_it_and_keys_do_not(server: StudentServer) -> None:
    connections = EndpointPools()
    for settings in ({"model": "a@1"}, {"model": "b@3"}, {"model": "b@3", "api_key": "k"}):
        await text(chat(server, connections, **settings))
    await connections.close()
    assert len(server.callers) == 2
    assert [body["model"] for body in server.bodies] == ["a@1", "b@3", "b@3"]
    assert [headers.get("authorization") for headers in server.headers] == [None, None, "Bearer k"]


async def test_no_more_calls_than_allowed_are_under_way(server: StudentServer) -> None:
    """The second waits for the first, whose time-out alone runs meanwhile."""
    server.wait_after = 1
    one = chat(server, concurrency=1)
    first = asyncio.create_task(text(one))
    await server.arrived.wait()
    second = asyncio.create_task(text(one))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(server.bodies) == 1
    first.cancel()
    server.wait_after = None
    assert await second == "refund"
    await one.close()


async def test_closing_waits_for_the_calls_under_way(server: StudentServer) -> None:
    server.behavior = "hang"
    one = chat(server)
    asking = asyncio.create_task(text(one))
    await server.arrived.wait()
    closing = asyncio.create_task(one.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    server.release.set()
    assert await asking == "refund"
    await closing


async def test_closing_that_is_given_up_closes_at_once(server: StudentServer) -> None:
    server.behavior = "hang"
    one = chat(server)
    asking = asyncio.create_task(text(one))
    await server.arrived.wait()
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(StudentError):
        await asking


async def test_what_was_closed_opens_again(server: StudentServer) -> None:
    one = chat(server)
    await one.close()
    for _ in range(2):
        assert await text(one) == "refund"
        await one.close()
    assert len(server.callers) == 2


async def test_answers_are_asked_for_unpacked_so_that_their_size_is_what_comes(server: StudentServer) -> None:
    one = chat(server)
    await text(one)
    await one.close()
    assert server.headers[0]["accept-encoding"] == "identity"


def test_it_works_in_one_event_loop_after_another() -> None:
    connections = EndpointPools()

    async def once() -> str:
        async with student_server() as server:
            try:
                return await text(chat(server, connections))
            finally:
                await connections.close()

    assert [asyncio.run(once()) for _ in range(2)] == ["refund", "refund"]
