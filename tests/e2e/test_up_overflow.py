"""`understudies up` where its services do not keep up: calls wait on disk, and each is stored once."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from tests.support.commands import TIMEOUT_S, Command, query_store, up_command, wait_until
from tests.support.fake_teacher import FakeTeacher

# The least there is: ten calls fill it.
SMALL = {"UNDERSTUDIES_BUS_MEMORY_BYTES": "1000000"}
LONG = "all work and no play " * 5_000
CALLS = 200
AT_ONCE = 5
WINDOW = timedelta(seconds=5)
"""As in `test_up_loss`: a process that gets its share of the machine loses less."""
STORED = "SELECT id, count() AS times FROM invocations GROUP BY id"


class Agents:
    """Agents that ask without a pause; keeps when each call was answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answered: dict[str, datetime] = {}

    async def ask(self, calls: int) -> None:
        """Make calls, fewer if nobody answers any more."""
        numbers = iter(range(calls))
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as agents:
            for _ in range(AT_ONCE):
                agents.create_task(self._ask_in_turn(session, numbers))

    async def _ask_in_turn(self, session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"call {number}: {LONG}"}]}
            try:
                async with session.post(
                    f"{self._url}/chat/completions", json=body, headers={"x-understudies-task": "flood"}
                ) as response:
                    await response.read()
            except aiohttp.ClientError:
                return
            self.answered[response.headers["x-understudies-invocation"]] = datetime.now(UTC)


async def metric(url: str, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{url.removesuffix('/v1')}/metrics") as response:
        text = await response.text()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


async def wait_delivered(url: str) -> None:
    """Wait until no call waits any more, neither in memory nor on disk."""
    waiting = ("understudies_router_buffer_events", "understudies_router_spool_bytes")
    async with asyncio.timeout(TIMEOUT_S):
        while any([await metric(url, name) for name in waiting]):  # noqa: ASYNC110 - metrics of another process
            await asyncio.sleep(0.1)


async def store_rest(data: Path, teacher_url: str) -> None:
    """Start again, and until nothing is left on disk: a stop that takes long leaves calls there for the next start.

    Once at least: a process that was killed may have left nothing there, and still have to count what it stored.
    """
    async with asyncio.timeout(2 * TIMEOUT_S):
        is_left = True
        while is_left:
            async with up_command(data, teacher_url, env=SMALL) as again:
                await wait_delivered(await again.wait_router_url())
                assert await again.terminate() == 0
            is_left = any((data / "spool").rglob("*.spool"))


async def test_calls_that_found_no_room_in_memory_are_stored_once(tmp_path: Path) -> None:
    async with FakeTeacher() as teacher, up_command(tmp_path, teacher.url, env=SMALL) as running:
        url = await running.wait_router_url()
        agents = Agents(url)
        await agents.ask(CALLS)
        assert await metric(url, "understudies_router_events_spooled_total") > 0
        await wait_delivered(url)
        assert await running.terminate() == 0
        await store_rest(tmp_path, teacher.url)
    assert await find_lost(tmp_path, agents.answered) == {}
    assert "Traceback" not in running.output


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_calls_on_disk_outlive_the_process(
    tmp_path: Path, end: str, record_property: Callable[[str, object], None]
) -> None:
    async with FakeTeacher() as teacher:
        async with up_command(tmp_path, teacher.url, env=SMALL) as first:
            url = await first.wait_router_url()
            agents = Agents(url)
            asking = asyncio.create_task(agents.ask(10 * CALLS))
            await wait_until(lambda: len(agents.answered) >= CALLS)
            spooled = await metric(url, "understudies_router_events_spooled_total")
            ended = datetime.now(UTC)
            await end_now(first, end)
            await asking
        await store_rest(tmp_path, teacher.url)
    lost = await find_lost(tmp_path, agents.answered)
    oldest = ended - min(lost.values(), default=ended)
    record_property("lost", f"{len(lost)} of {len(agents.answered)}, {spooled} spooled, the oldest {oldest} before")
    assert spooled > 0
    assert oldest <= WINDOW
    assert end == "kill" or lost == {}
    books = json.loads((tmp_path / "snapshots" / "budget.json").read_bytes())["state"]["books"]
    (book,) = [book for book in books if book["task"] == "flood"]
    stored = len(agents.answered) - len(lost)
    assert stored <= book["ledger"]["calls"] <= len(agents.answered) + AT_ONCE


async def end_now(running: Command, end: str) -> None:
    if end == "kill":
        await running.kill()
    else:
        assert await running.terminate() == 0


async def find_lost(data: Path, answered: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return the calls that are not stored, and when they were answered; those that are must be so once."""
    times = {row["id"]: row["times"] for row in await query_store(data, STORED)}
    assert {one: count for one, count in times.items() if count != 1} == {}
    return {one: at for one, at in answered.items() if one not in times}
