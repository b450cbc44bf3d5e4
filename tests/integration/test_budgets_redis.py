"""The online state on a real Redis server that is killed, paused, locked, or something else altogether."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.online.base import (
    BudgetCounter,
    BudgetHold,
    CounterState,
    OnlineState,
    OnlineUnavailable,
    ReserveResult,
)
from understudies.runtime.online.factory import create_online_state

DAY_S = 86_400.0


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.fixture
async def online(server: RedisServer) -> AsyncIterator[OnlineState]:
    state = create_online_state(server.url)
    yield state
    await state.close()


async def back(online: OnlineState) -> None:
    """Wait for the probe in the background."""
    async with asyncio.timeout(30):
        while online.is_unavailable:  # noqa: ASYNC110 - it promises no event
            await asyncio.sleep(0.01)


ASKED: dict[str, Callable[[OnlineState], Awaitable[object]]] = {
    "get": lambda online: online.get("key"),
    "put": lambda online: online.put("key", b"value", 60),
    "pin": lambda online: online.get_or_put("key", "value", 60),
    "reserve": lambda online: online.reserve(
        "here", BudgetHold("x", 1), [BudgetCounter("key")], lease_s=60, retention_s=60
    ),
    "settle": lambda online: online.settle("here", [], retention_s=60),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_whatever_is_asked_of_a_server_that_is_gone_raises_the_one_error(asked: str) -> None:
    server = RedisServer()
    online = create_online_state(server.url)
    for _ in range(2):
        with pytest.raises(OnlineUnavailable, match=f"127.0.0.1:{server.port} is unavailable"):
            await ASKED[asked](online)
    assert online.is_unavailable
    assert issubclass(OnlineUnavailable, RetryLater)
    await online.close()


async def test_a_server_that_is_killed_and_started_again_is_found_again(
    server: RedisServer, online: OnlineState
) -> None:
    await online.put("key", b"value", 60)
    server.kill()
    with pytest.raises(OnlineUnavailable):
        await online.get("key")
    await server.start()
    await back(online)
    assert await online.get("key") == b"value"
    assert (
        await online.reserve("here", BudgetHold("x", 1), [BudgetCounter("day")], lease_s=60, retention_s=60)
    ).granted


async def test_a_restart_while_nothing_is_asked_is_not_noticed(server: RedisServer, online: OnlineState) -> None:
    await online.put("key", b"value", 60)
    server.kill()
    await server.start()
    assert await online.get("key") == b"value"


async def test_a_server_that_does_not_answer_is_given_up_and_then_not_waited_for(
    server: RedisServer, online: OnlineState
) -> None:
    await online.put("key", b"value", 60)
    server.pause()
    answers = await asyncio.gather(*(online.get("key") for _ in range(500)), return_exceptions=True)
    assert all(isinstance(answer, OnlineUnavailable) for answer in answers)
    assert "no answer within 250 ms" in str(answers[0])
    # Were these waited for, one after the other, it would take minutes.
    async with asyncio.timeout(30):
        for _ in range(1000):
            with pytest.raises(OnlineUnavailable):
                await online.get("key")
    server.resume()
    await back(online)
    assert await online.get("key") == b"value"


async def test_a_process_that_stood_still_does_not_take_the_server_for_gone(server: RedisServer) -> None:
    online = create_online_state(server.url, timeout_s=0.1)
    await online.put("key", b"value", 60)
    asking = asyncio.create_task(online.get("key"))
    for _ in range(2):
        await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - nothing moves here meanwhile
    assert await asking == b"value"
    assert not online.is_unavailable
    await online.close()


async def test_what_a_paused_server_was_asked_counts_once_though_it_was_asked_again(
    server: RedisServer, online: OnlineState
) -> None:
    async def reserve() -> object:
        return await online.reserve(
            "here", BudgetHold("call", 60), [BudgetCounter("day", 100, 10)], lease_s=DAY_S, retention_s=DAY_S
        )

    await online.check()
    server.pause()
    with pytest.raises(OnlineUnavailable):
        await reserve()
    server.resume()
    await back(online)
    first = await reserve()
    assert await reserve() == first
    look = await online.reserve("look", BudgetHold("look", 0), [BudgetCounter("day", 0)], lease_s=1, retention_s=DAY_S)
    assert (look.counters[0].spent, look.counters[0].held) == (10, 60)


async def test_holds_that_had_to_make_room_do_not_block_a_budget_for_the_day(
    server: RedisServer, online: OnlineState
) -> None:
    await online.reserve("here", BudgetHold("lost", 80), [BudgetCounter("day", 100)], lease_s=DAY_S, retention_s=DAY_S)
    await server.send_command(b"DEL understudies:{money}:day:holds\r\n")
    got = await online.reserve(
        "here", BudgetHold("next", 60), [BudgetCounter("day", 100)], lease_s=DAY_S, retention_s=DAY_S
    )
    assert got == ReserveResult(True, (CounterState(0, 60),))


async def test_everything_expires(server: RedisServer, online: OnlineState) -> None:
    await online.put("key", b"value", 60)
    await online.get_or_put("key", "value", 60)
    for name in ("one", "other"):
        await online.reserve("here", BudgetHold(name, 8), [BudgetCounter("day", 100)], lease_s=DAY_S, retention_s=DAY_S)
    for key in (b"value:key", b"pin:key", b"{money}:day", b"{money}:day:holds"):
        assert int((await server.send_command(b"TTL understudies:" + key + b"\r\n")).removeprefix(b":")) > 0


async def test_scripts_that_the_server_forgets_are_told_again(server: RedisServer, online: OnlineState) -> None:
    assert await online.get_or_put("episode", "first", 60) == "first"
    await server.flush()
    answers = await asyncio.gather(*(online.get_or_put(f"episode {n}", "second", 60) for n in range(50)))
    assert set(answers) == {"second"}


async def test_a_caller_that_gives_up_harms_no_other(server: RedisServer, online: OnlineState) -> None:
    await online.put("key", b"value", 60)
    asking = [asyncio.create_task(online.get("key")) for _ in range(100)]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    await asyncio.wait(asking)
    assert [task.result() for task in asking[1::2]] == [b"value"] * 50
    assert await online.get("key") == b"value"


async def test_a_server_that_refuses_a_command_is_away_for_that_command_alone(
    server: RedisServer, online: OnlineState
) -> None:
    await online.put("key", b"value", 60)
    await server.send_command(b"CONFIG SET maxmemory 1\r\n")
    with pytest.raises(OnlineUnavailable, match="used memory"):
        await online.put("key", b"other", 60)
    assert await online.get("key") == b"value"
    assert not online.is_unavailable


async def test_a_wrong_password_is_told_with_the_setting_and_without_the_password() -> None:
    async with RedisServer(password="correct-horse") as server:
        for url in (f"redis://127.0.0.1:{server.port}", f"redis://:battery-staple@127.0.0.1:{server.port}"):
            online = create_online_state(url)
            with pytest.raises(ConfigurationError, match="UNDERSTUDIES_ONLINE_URL") as refused:
                await online.check()
            assert "battery-staple" not in str(refused.value)
            with pytest.raises(OnlineUnavailable):
                await online.get("key")
            await online.close()
        online = create_online_state(server.url)
        await online.check()
        await online.close()


async def test_a_database_that_is_not_there_is_told(server: RedisServer) -> None:
    online = create_online_state(f"{server.url}/99")
    with pytest.raises(ConfigurationError, match="DB index is out of range"):
        await online.check()
    await online.close()


async def test_another_kind_of_server_is_told() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as listening:
        online = create_online_state(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(ConfigurationError, match="is not a usable Redis"):
            await online.check()
        await online.close()


async def test_a_server_that_only_listens_is_away() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        online = create_online_state(f"redis://127.0.0.1:{listening.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(OnlineUnavailable, match="no answer within 50 ms"):
            await online.check()
        await online.close()


async def test_an_outage_is_logged_once_and_names_no_secret(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    online = create_online_state(f"redis://user:hunter2@127.0.0.1:{server.port}")
    for n in range(100):
        with pytest.raises(OnlineUnavailable):
            await online.put(f"prompt {n}", b"an answer", 60)
    told = [record for record in caplog.records if record.name.startswith("understudies")]
    assert len(told) == 1
    assert not any(secret in caplog.text for secret in ("hunter2", "prompt", "an answer"))
    await online.close()


async def test_closing_fails_what_is_waiting(server: RedisServer) -> None:
    online = create_online_state(server.url, timeout_s=30)
    await online.check()
    server.pause()
    asking = asyncio.create_task(online.get("key"))
    await asyncio.sleep(0)
    await online.close()
    with pytest.raises(OnlineUnavailable, match="closed"):
        await asking
    with pytest.raises(OnlineUnavailable, match="closed"):
        await online.get("key")
    server.resume()


async def test_after_a_failover_the_new_primary_is_found_behind_the_same_address(server: RedisServer) -> None:
    async with RedisServer() as other, TcpProxy(f"127.0.0.1:{server.port}") as service:
        online = create_online_state(f"redis://{service.address}")
        await online.put("key", b"old", 60)
        # Open connections stay with the old primary, which now takes no writes.
        service.target = f"127.0.0.1:{other.port}"
        await server.send_command(f"REPLICAOF 127.0.0.1 {other.port}\r\n".encode())
        await online.put("key", b"new", 60)
        assert await online.get("key") == b"new"
        for asked in ASKED.values():
            await asked(online)
        await online.close()


async def test_while_there_is_a_replica_alone_it_is_away(server: RedisServer, online: OnlineState) -> None:
    await online.put("key", b"value", 60)
    await server.send_command(b"REPLICAOF 127.0.0.1 1\r\n")
    with pytest.raises(OnlineUnavailable, match="read only replica"):
        await ASKED["reserve"](online)
    assert online.is_unavailable
    with pytest.raises(OnlineUnavailable):
        await online.check()
    await server.send_command(b"REPLICAOF NO ONE\r\n")
    await back(online)
    assert await online.get("key") == b"value"
