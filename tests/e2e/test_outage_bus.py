"""The bus goes away under load, in each way that networks have, and comes back."""

from pathlib import Path

import pytest
from tests.support.outage import IN_FLIGHT, Traffic, arrived, line, router, spooled, told, until_told, url_of
from tests.support.tcp_proxy import State
from tests.support.teacher import FakeTeacher


@pytest.mark.parametrize("state", ["refused", "silent"])
async def test_a_bus_that_is_away_under_load_costs_no_call_and_no_event(tmp_path: Path, state: State) -> None:
    # Who waits long enough for an answer need not send again.
    env = {"UNDERSTUDIES_BUS_PUBLISH_TIMEOUT_S": "120"} if state == "silent" else {}
    async with line() as bus, FakeTeacher() as teacher, router(tmp_path, teacher.url, bus.address, env=env) as running:
        url = await url_of(running)
        async with Traffic(url).running() as traffic:
            await traffic.more(100)
            await bus.proxy.put(state)
            await until_told(url, lambda facts: facts["bus_away"])
            await traffic.more(400)
            assert spooled(tmp_path) > 0
            assert (await told(url))["events_waiting"] < 200
            await bus.proxy.put("open")
            await until_told(url, lambda facts: not facts["bus_away"])
            await traffic.more(100)
            await until_told(url, lambda facts: spooled(tmp_path) == 0)
        assert await running.stopped() == 0, running.output
        found = await arrived(bus.address)
    assert traffic.bad == []
    assert found.first == traffic.ids
    assert found.again <= (0 if state == "silent" else IN_FLIGHT)
    assert "Traceback" not in running.output
