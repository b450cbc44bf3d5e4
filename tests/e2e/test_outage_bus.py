"""The bus goes away under load, in each way that networks have, and comes back."""

from pathlib import Path

import pytest
from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import (
    IN_FLIGHT,
    SteadyTraffic,
    fetch_readiness,
    open_broker_line,
    read_received_events,
    router_command,
    spool_size,
    wait_readiness,
    wait_router_url,
)
from tests.support.tcp_proxy import ProxyState


@pytest.mark.parametrize("state", ["refused", "silent"])
async def test_a_bus_that_is_away_under_load_costs_no_call_and_no_event(tmp_path: Path, state: ProxyState) -> None:
    # Who waits long enough for an answer need not send again.
    env = {"UNDERSTUDIES_BUS_PUBLISH_TIMEOUT_S": "120"} if state == "silent" else {}
    async with (
        open_broker_line() as bus,
        FakeTeacher() as teacher,
        router_command(tmp_path, teacher.url, bus.address, env=env) as running,
    ):
        url = await wait_router_url(running)
        async with SteadyTraffic(url).running() as traffic:
            await traffic.wait_more_answers(100)
            await bus.proxy.set_state(state)
            await wait_readiness(url, lambda facts: facts["bus_away"])
            await traffic.wait_more_answers(400)
            assert spool_size(tmp_path) > 0
            assert (await fetch_readiness(url))["events_waiting"] < 200
            await bus.proxy.set_state("open")
            await wait_readiness(url, lambda facts: not facts["bus_away"])
            await traffic.wait_more_answers(100)
            await wait_readiness(url, lambda facts: spool_size(tmp_path) == 0)
        assert await running.terminate() == 0, running.output
        found = await read_received_events(bus.address)
    assert traffic.errors == []
    assert found.first_occurrences == traffic.ids
    assert found.duplicates <= (0 if state == "silent" else IN_FLIGHT)
    assert "Traceback" not in running.output
