"""The router is killed while the bus is away: what is on disk comes through, in order and once."""

from collections.abc import Callable
from pathlib import Path

from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import (
    IN_FLIGHT,
    SteadyTraffic,
    open_broker_line,
    read_received_events,
    router_command,
    spool_size,
    wait_readiness,
    wait_router_url,
)


async def test_a_killed_router_loses_the_events_in_memory_alone(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with open_broker_line() as bus, FakeTeacher() as teacher:
        async with router_command(tmp_path, teacher.url, bus.address) as running:
            url = await wait_router_url(running)
            traffic = SteadyTraffic(url, per_second=300)
            async with traffic.running():
                await traffic.wait_more_answers(100)
                await bus.proxy.set_state("refused")
                await wait_readiness(url, lambda facts: facts["bus_away"])
                await traffic.wait_more_answers(600)
                await running.kill()
        tear(tmp_path)
        await bus.proxy.set_state("open")
        async with router_command(tmp_path, teacher.url, bus.address) as heir:
            url = await wait_router_url(heir)
            async with SteadyTraffic(url).running() as later:
                await later.wait_more_answers(50)
                await wait_readiness(url, lambda facts: spool_size(tmp_path) == 0)
            assert await heir.terminate() == 0, heir.output
        found = await read_received_events(bus.address)
    assert found.duplicates <= IN_FLIGHT
    lost = 0
    for task, ids in traffic.ids.items():
        there = [id_ for id_ in found.first_occurrences[task] if id_ in set(ids)]
        # The last of them may have been answered and not be on disk yet; none is missing before one that is there.
        assert there == ids[: len(there)]
        assert found.ids[task][-len(later.ids[task]) :] == later.ids[task]
        lost += len(ids) - len(there)
    record_property("lost", f"{lost} of {len(traffic.answers)} events")
    assert lost <= IN_FLIGHT


async def test_a_killed_routers_events_come_through_though_no_other_one_starts(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with open_broker_line() as bus, FakeTeacher() as teacher:
        async with router_command(tmp_path, teacher.url, bus.address) as running:
            traffic = SteadyTraffic(await wait_router_url(running), per_second=300)
            async with traffic.running():
                await traffic.wait_more_answers(600)
                # It ends with the process that records, which holds what it writes to.
                await running.kill()
        found = await read_received_events(bus.address)
    lost = sum(len(set(ids) - set(found.ids[task])) for task, ids in traffic.ids.items())
    record_property("lost", f"{lost} of {len(traffic.answers)} events")
    assert lost <= IN_FLIGHT
    assert found.duplicates == 0


def tear(data: Path) -> None:
    """Leave the beginning of a frame behind the last one, as a write does that was cut off."""
    newest = max((data / "spool").glob("worker-*/*.spool"))
    with newest.open("r+b") as file:
        beginning = file.read(100)
        file.seek(0, 2)
        file.write(beginning)
