"""The router is told to stop while calls are in flight: they are finished and recorded, whatever the bus does."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import openai
import pytest
from tests.support.commands import TIMEOUT_S, openai_client
from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import (
    SteadyTraffic,
    open_broker_line,
    read_received_events,
    router_command,
    spool_size,
    wait_readiness,
    wait_router_url,
)
from tests.support.tansu_broker import TansuBroker
from tests.support.tcp_proxy import ProxyState

TASK = "task-0"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
HEADERS = {"x-understudies-task": TASK}


async def streamed(url: str) -> str:
    """The text of a call answered in pieces."""
    async with openai_client(url) as agent:
        stream = await agent.chat.completions.create(**ASKED, stream=True, extra_headers=HEADERS)  # type: ignore[call-overload]
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def whole(url: str) -> str | None:
    """The text of a call answered whole."""
    async with openai_client(url) as agent:
        answer = await agent.chat.completions.create(**ASKED, extra_headers=HEADERS)  # type: ignore[call-overload]
        text: str | None = answer.choices[0].message.content
        return text


async def refused(url: str) -> bool:
    """Whether a new caller finds nobody."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url.removesuffix("/v1") + "/readyz"):
                return False
        except aiohttp.ClientConnectorError:
            return True


@pytest.mark.parametrize("state", ["open", "silent"])
async def test_calls_in_flight_are_finished_and_their_events_kept(tmp_path: Path, state: ProxyState) -> None:
    async with open_broker_line() as bus, FakeTeacher("so long") as teacher:
        async with router_command(tmp_path, teacher.url, bus.address) as running:
            url = await wait_router_url(running)
            teacher.moods.append("hang")
            calls = [asyncio.create_task(whole(url))]
            async with asyncio.timeout(TIMEOUT_S):
                # Only then the other one: the mood is for whoever comes first.
                await teacher.arrived.wait()
                teacher.hold_after = 1
                calls.append(asyncio.create_task(streamed(url)))
                await teacher.held.wait()
                while len(teacher.asked) < 2:
                    teacher.arrived.clear()
                    await teacher.arrived.wait()
            await bus.proxy.set_state(state)
            running.process.terminate()
            await running.wait_for_line("^stopping$")
            await until_refused(url)
            teacher.release.set()
            assert await asyncio.gather(*calls) == ["so long", "so long"]
            assert await running.wait_exit() == 0, running.output
        assert "Traceback" not in running.output
        await bus.proxy.set_state("open")
        assert (spool_size(tmp_path) > 0) == (state != "open")
        async with router_command(tmp_path, teacher.url, bus.address) as heir:
            url = await wait_router_url(heir)
            await wait_readiness(url, lambda facts: spool_size(tmp_path) == 0)
            assert await heir.terminate() == 0, heir.output
        found = await read_received_events(bus.address)
        assert (len(found.ids[TASK]), found.duplicates) == (2, 0)


async def until_refused(url: str) -> None:
    """Wait until new callers find nobody."""
    async with asyncio.timeout(TIMEOUT_S):
        while not await refused(url):  # noqa: ASYNC110 - another process, which announces nothing
            await asyncio.sleep(0.02)


async def test_a_call_that_outlasts_the_time_for_draining_is_given_up(tmp_path: Path) -> None:
    async with TansuBroker() as broker, FakeTeacher() as teacher:
        teacher.mood = "hang"
        env = {"UNDERSTUDIES_ROUTER_DRAIN_S": "1"}
        async with router_command(tmp_path, teacher.url, broker.bootstrap, env=env) as running:
            url = await wait_router_url(running)
            async with openai_client(url) as agent:
                call = asyncio.create_task(agent.chat.completions.create(**ASKED, extra_headers=HEADERS))  # type: ignore[call-overload]
                async with asyncio.timeout(TIMEOUT_S):
                    await teacher.arrived.wait()
                assert await running.terminate() == 0, running.output
                with pytest.raises(openai.InternalServerError) as caught:
                    await call
        assert (caught.value.status_code, caught.value.code) == (503, "stopping")
        found = await read_received_events(broker.bootstrap)
    assert len(found.ids[TASK]) == 1
    assert "Traceback" not in running.output


async def test_ctrl_c_waits_for_calls_in_flight_and_ctrl_c_again_does_not(tmp_path: Path) -> None:
    async with (
        TansuBroker() as broker,
        FakeTeacher() as teacher,
        router_command(tmp_path, teacher.url, broker.bootstrap) as running,
        openai_client(await wait_router_url(running)) as agent,
    ):
        teacher.mood = "hang"
        call = asyncio.create_task(agent.chat.completions.create(**ASKED))  # type: ignore[call-overload]
        async with asyncio.timeout(TIMEOUT_S):
            await teacher.arrived.wait()
        running.process.send_signal(signal.SIGINT)
        await running.wait_for_line("^stopping$")
        running.process.terminate()
        running.process.send_signal(signal.SIGINT)
        assert await running.wait_exit() == 130, running.output
        with pytest.raises(openai.APIConnectionError):
            await call
    assert running.lines[1:] == ["stopping", "interrupted"]


async def test_a_router_that_stops_under_load_answers_all_that_it_took(tmp_path: Path) -> None:
    async with TansuBroker() as broker, FakeTeacher() as teacher:
        async with router_command(tmp_path, teacher.url, broker.bootstrap) as running:
            url = await wait_router_url(running)
            async with SteadyTraffic(url).running() as traffic:
                await traffic.wait_more_answers(200)
                assert await running.terminate() == 0, running.output
        found = await read_received_events(broker.bootstrap)
    assert {answer.status for answer in traffic.answers} == {200}
    assert found.duplicates == 0
    assert {task: ids[: len(traffic.ids[task])] for task, ids in found.ids.items()} == traffic.ids
    assert sum(map(len, found.ids.values())) - len(traffic.answers) <= len(traffic.failures)
