"""Every service alone, as a process against a broker given by address."""

import itertools
from pathlib import Path

import pytest
from tests.support.commands import Command, openai_client, query_store
from tests.support.fake_teacher import FakeTeacher
from tests.support.sample_events import make_invocation, make_promotion
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.client import Understudies
from understudies.events import INVOCATIONS, PROMOTIONS, Invocation, Promotion

SERVICES = ["observer", "evaluator", "trainer", "router", "budget"]
NO_GROUP = {"UNDERSTUDIES_BUS_GROUP_PREFIX": ""}
"""Joining a group takes the embedded broker five seconds."""


async def collected_with_a_call(agent: Understudies, bootstrap: str) -> Promotion:
    """The first dataset with a call in it; the observer reads the topics side by side, so early ones may be empty."""
    for version in itertools.count(1):
        await agent.publish(make_promotion("authorised", version=version, minutes=version))
        stories = [e for e in await read_events(bootstrap, PROMOTIONS, 2 * version) if isinstance(e, Promotion)]
        if stories[-1].evidence["examples"]:
            return stories[-1]
    raise AssertionError("unreachable")


@pytest.mark.parametrize("group", [None, "understudies-observer"])
async def test_what_an_agent_publishes_the_observer_stores(tmp_path: Path, group: str | None) -> None:
    call = make_invocation()
    env = {"UNDERSTUDIES_STORE_URL": f"chdb://{tmp_path / 'store'}", **({} if group else NO_GROUP)}
    async with TansuBroker() as broker:
        async with Command("observer", "--bootstrap", broker.bootstrap, "--data", tmp_path, env=env) as observer:
            line = (await observer.wait_for_line("observer runs: (.*)"))[1]
            assert f"broker {broker.bootstrap}, {f'group {group}' if group else 'no group'}" in line
            async with Understudies(bootstrap=broker.bootstrap) as agent:
                await agent.publish(call)
                story = await collected_with_a_call(agent, broker.bootstrap)
            assert story.stage == "collected"
            assert await observer.terminate() == 0
        assert observer.lines[-2:] == ["stopping", "stopped"]
        assert not {"WARNING", "ERROR", "Traceback"} & set(observer.output.split())
    rows = await query_store(tmp_path, "SELECT id, task, cost_usd FROM invocations FINAL")
    assert [(row["id"], row["task"]) for row in rows] == [(call.id, call.task)]


async def test_the_router_answers_and_publishes(tmp_path: Path) -> None:
    async with FakeTeacher() as teacher, TansuBroker() as broker:
        env = {**NO_GROUP, "UNDERSTUDIES_ROUTER_TEACHER_URL": teacher.url, "UNDERSTUDIES_ROUTER_PORT": "0"}
        async with Command("router", "--bootstrap", broker.bootstrap, "--data", tmp_path, env=env) as router:
            url = (await router.wait_for_line(r"router runs: listens on (http://\S+/v1), broker "))[1]
            async with openai_client(url) as agent:
                await agent.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
            (event,) = await read_events(broker.bootstrap, INVOCATIONS, 1)
            assert isinstance(event, Invocation)
            assert event.served_by == "teacher"
            assert await router.terminate() == 0
        assert router.lines[1:] == ["stopping", "stopped"]


@pytest.mark.parametrize("name", ["evaluator", "trainer", "budget"])
async def test_it_says_what_it_runs_against_and_stops_cleanly(tmp_path: Path, name: str) -> None:
    async with TansuBroker() as broker:
        env = {**NO_GROUP, "UNDERSTUDIES_BUS_BOOTSTRAP": broker.bootstrap}
        async with Command(name, "--data", tmp_path, env=env) as service:
            await service.wait_for_line(
                f"{name} runs: broker {broker.bootstrap}, no group, artifacts in file://{tmp_path}"
            )
            assert await service.terminate() == 0
    assert service.lines[1:] == ["stopping", "stopped"]


@pytest.mark.parametrize("name", SERVICES)
async def test_without_a_broker_it_says_how_to_name_one(tmp_path: Path, name: str) -> None:
    async with Command(name, "--data", tmp_path) as service:
        assert await service.wait_exit() == 2
    (line,) = service.lines
    assert f"{name} needs a broker: pass --bootstrap HOST:PORT or set UNDERSTUDIES_BUS_BOOTSTRAP" in line


async def test_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    async with Command("budget", "--bootstrap", "127.0.0.1:1", "--data", tmp_path) as service:
        assert await service.wait_exit() == 2
    assert "'127.0.0.1:1'" in service.lines[-1]
    assert "Traceback" not in service.output
