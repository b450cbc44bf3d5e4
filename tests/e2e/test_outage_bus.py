"""The bus goes away under load, in each way that networks have, and comes back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.outage import Traffic, arrived, router, spooled, told, until_told, url_of
from tests.support.tansu import Tansu
from tests.support.tcp_proxy import State, TcpProxy
from tests.support.teacher import FakeTeacher


class Line(NamedTuple):
    """A broker, and the line to it."""

    proxy: TcpProxy
    broker: Tansu

    @property
    def address(self) -> str:
        return self.proxy.address


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with TcpProxy() as proxy:
        broker = Tansu(advertised=proxy.address)
        proxy.target = broker.bootstrap
        async with broker:
            yield Line(proxy, broker)


@pytest.mark.parametrize("state", ["refused", "reset", "silent"])
async def test_a_bus_that_is_away_under_load_costs_no_call_and_no_event(
    tmp_path: Path, line: Line, state: State
) -> None:
    async with FakeTeacher() as teacher, router(tmp_path, teacher.url, line.address) as running:
        url = await url_of(running)
        async with Traffic(url).running() as traffic:
            await traffic.more(100)
            await line.proxy.put(state)
            await until_told(url, lambda facts: facts["bus_away"])
            await traffic.more(400)
            assert spooled(tmp_path) > 0
            assert (await told(url))["events_waiting"] < 200
            await line.proxy.put("open")
            await until_told(url, lambda facts: not facts["bus_away"])
            await traffic.more(100)
            await until_told(url, lambda facts: spooled(tmp_path) == 0)
        assert await running.stopped() == 0, running.output
    assert traffic.bad == []
    found = await arrived(line.address)
    assert found.first == traffic.ids
    assert found.again == 0
    assert "Traceback" not in running.output
