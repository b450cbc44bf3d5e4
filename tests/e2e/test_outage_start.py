"""The router starts while the bus is away: the teacher answers, events wait, and students serve once it is back."""

import asyncio
from pathlib import Path

import pytest
from tests.support.commands import TIMEOUT_S, Command, openai_client
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import (
    BrokerLine,
    SteadyTraffic,
    fetch_readiness,
    open_broker_line,
    read_received_events,
    router_command,
    spool_size,
    wait_readiness,
    wait_router_url,
)
from tests.support.promoted_student import write_promoted_student
from tests.support.tcp_proxy import ProxyState

from understudies.events import Promotion
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings


async def publish(bus: BrokerLine, *events: Promotion) -> None:
    outside = KafkaBus(BusSettings(bootstrap=bus.broker.bootstrap, replication_factor=1), "outside")
    await outside.start()
    try:
        await outside.publish(*events)
    finally:
        await outside.stop()


async def answered(url: str) -> tuple[str, str]:
    """Who answers a question that the student knows well, and why."""
    async with openai_client(url) as agent:
        answer = await agent.chat.completions.with_raw_response.create(
            model="m",
            messages=[
                {"role": "system", "content": "Name the intent."},
                {"role": "user", "content": "when does the card arrive, letter number 7"},
            ],
            extra_headers={"x-understudies-task": TASK},
        )
        return answer.headers["x-understudies-served-by"], answer.headers["x-understudies-reason"]


async def until_served_by_the_student(url: str) -> None:
    """Wait until the student is loaded."""
    async with asyncio.timeout(TIMEOUT_S):
        while (await answered(url))[0] != "student":  # noqa: ASYNC110 - another process, which announces nothing
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("state", ["refused", "silent"])
async def test_calls_are_answered_and_recorded_though_the_bus_comes_later(tmp_path: Path, state: ProxyState) -> None:
    async with open_broker_line() as bus, FakeTeacher() as teacher:
        await bus.proxy.set_state(state)
        async with router_command(tmp_path, teacher.url, bus.address) as running:
            url = await wait_router_url(running)
            async with SteadyTraffic(url).running() as traffic:
                await traffic.wait_more_answers(200)
                facts = await fetch_readiness(url)
                assert facts["bus_away"]
                assert not facts["promotions_read"]
                await bus.proxy.set_state("open")
                await wait_readiness(url, lambda facts: facts["promotions_read"] and not facts["bus_away"])
                await traffic.wait_more_answers(50)
                await wait_readiness(url, lambda facts: spool_size(tmp_path) == 0)
            assert await running.terminate() == 0, running.output
        found = await read_received_events(bus.address)
    assert traffic.errors == []
    assert found.ids == traffic.ids
    assert "Traceback" not in running.output


async def test_it_stops_at_once_without_a_bus_and_the_next_start_delivers(tmp_path: Path) -> None:
    async with open_broker_line() as bus, FakeTeacher() as teacher:
        await bus.proxy.set_state("refused")
        async with router_command(tmp_path, teacher.url, bus.address) as running:
            async with SteadyTraffic(await wait_router_url(running)).running() as traffic:
                await traffic.wait_more_answers(20)
            assert await running.terminate() == 0, running.output
        assert "Traceback" not in running.output
        assert spool_size(tmp_path) > 0
        await bus.proxy.set_state("open")
        async with router_command(tmp_path, teacher.url, bus.address) as heir:
            url = await wait_router_url(heir)
            await wait_readiness(url, lambda facts: spool_size(tmp_path) == 0)
            assert await heir.terminate() == 0, heir.output
        assert (await read_received_events(bus.address)).ids == traffic.ids


async def test_a_student_that_was_in_force_serves_only_once_the_bus_says_that_it_still_is(tmp_path: Path) -> None:
    promoted = await write_promoted_student(tmp_path / "student")
    artifacts = f"file://{tmp_path / 'student' / 'artifacts'}"
    async with open_broker_line() as bus, FakeTeacher() as teacher:

        def again() -> Command:
            return router_command(tmp_path / "data", teacher.url, bus.address, "--artifacts", artifacts)

        await publish(bus, promoted)
        async with again() as running:
            url = await wait_router_url(running)
            await wait_readiness(url, lambda facts: facts["promotions_read"])
            await until_served_by_the_student(url)
            assert await running.terminate() == 0, running.output
        await bus.proxy.set_state("refused")
        async with again() as running:
            url = await wait_router_url(running)
            assert (await fetch_readiness(url))["tasks_served"] == []
            assert await answered(url) == ("teacher", "no_student")
            await bus.proxy.set_state("open")
            await wait_readiness(url, lambda facts: facts["promotions_read"])
            assert (await answered(url))[0] == "student"
            assert await running.terminate() == 0, running.output
        demoted = promoted.model_copy(update={"id": "demoted", "stage": "demoted", "at": promoted.at})
        await publish(bus, demoted)
        async with again() as running:
            url = await wait_router_url(running)
            assert {await answered(url) for _ in range(20)} == {("teacher", "no_student")}
            assert await asyncio.wait_for(running.terminate(), TIMEOUT_S) == 0, running.output
