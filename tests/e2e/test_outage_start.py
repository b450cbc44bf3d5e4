"""The router starts while the bus is away: the teacher answers, events wait, and students serve once it is back."""

import asyncio
from pathlib import Path

import pytest
from tests.support.datasets import TASK
from tests.support.outage import Line, Traffic, arrived, line, router, spooled, told, until_told, url_of
from tests.support.process import SECONDS, Command, client
from tests.support.promoted import promote
from tests.support.tcp_proxy import State
from tests.support.teacher import FakeTeacher

from understudies.events import Promotion
from understudies.runtime import Bus, BusSettings


async def publish(bus: Line, *events: Promotion) -> None:
    outside = Bus(BusSettings(bootstrap=bus.broker.bootstrap, replication_factor=1), "outside")
    await outside.start()
    try:
        await outside.publish(*events)
    finally:
        await outside.stop()


async def answered(url: str) -> tuple[str, str]:
    """Who answers a question that the student knows well, and why."""
    async with client(url) as agent:
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
    async with asyncio.timeout(SECONDS):
        while (await answered(url))[0] != "student":  # noqa: ASYNC110 - another process, which announces nothing
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("state", ["refused", "silent"])
async def test_calls_are_answered_and_recorded_though_the_bus_comes_later(tmp_path: Path, state: State) -> None:
    async with line() as bus, FakeTeacher() as teacher:
        await bus.proxy.put(state)
        async with router(tmp_path, teacher.url, bus.address) as running:
            url = await url_of(running)
            async with Traffic(url).running() as traffic:
                await traffic.more(200)
                facts = await told(url)
                assert facts["bus_away"]
                assert not facts["promotions_read"]
                await bus.proxy.put("open")
                await until_told(url, lambda facts: facts["promotions_read"] and not facts["bus_away"])
                await traffic.more(50)
                await until_told(url, lambda facts: spooled(tmp_path) == 0)
            assert await running.stopped() == 0, running.output
        found = await arrived(bus.address)
    assert traffic.bad == []
    assert found.ids == traffic.ids
    assert "Traceback" not in running.output


async def test_it_stops_at_once_without_a_bus_and_the_next_start_delivers(tmp_path: Path) -> None:
    async with line() as bus, FakeTeacher() as teacher:
        await bus.proxy.put("refused")
        async with router(tmp_path, teacher.url, bus.address) as running:
            async with Traffic(await url_of(running)).running() as traffic:
                await traffic.more(20)
            assert await running.stopped() == 0, running.output
        assert "Traceback" not in running.output
        assert spooled(tmp_path) > 0
        await bus.proxy.put("open")
        async with router(tmp_path, teacher.url, bus.address) as heir:
            url = await url_of(heir)
            await until_told(url, lambda facts: spooled(tmp_path) == 0)
            assert await heir.stopped() == 0, heir.output
        assert (await arrived(bus.address)).ids == traffic.ids


async def test_a_student_that_was_in_force_serves_only_once_the_bus_says_that_it_still_is(tmp_path: Path) -> None:
    promoted = await promote(tmp_path / "student")
    artifacts = f"file://{tmp_path / 'student' / 'artifacts'}"
    async with line() as bus, FakeTeacher() as teacher:

        def again() -> Command:
            return router(tmp_path / "data", teacher.url, bus.address, "--artifacts", artifacts)

        await publish(bus, promoted)
        async with again() as running:
            url = await url_of(running)
            await until_told(url, lambda facts: facts["promotions_read"])
            await until_served_by_the_student(url)
            assert await running.stopped() == 0, running.output
        await bus.proxy.put("refused")
        async with again() as running:
            url = await url_of(running)
            assert (await told(url))["tasks_served"] == []
            assert await answered(url) == ("teacher", "no_student")
            await bus.proxy.put("open")
            await until_told(url, lambda facts: facts["promotions_read"])
            assert (await answered(url))[0] == "student"
            assert await running.stopped() == 0, running.output
        demoted = promoted.model_copy(update={"id": "demoted", "stage": "demoted", "at": promoted.at})
        await publish(bus, demoted)
        async with again() as running:
            url = await url_of(running)
            assert {await answered(url) for _ in range(20)} == {("teacher", "no_student")}
            assert await asyncio.wait_for(running.stopped(), SECONDS) == 0, running.output
