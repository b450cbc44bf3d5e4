"""What a kill of the one process can lose: the record of calls answered in the last moment, and nothing older."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from tests.support.commands import query_store, up_command, wait_until
from tests.support.fake_teacher import FakeTeacher

WINDOW = timedelta(seconds=5)
"""`understudies up --help` states one second, for a process that gets its share of the machine; a test may not."""

PER_SECOND = 200
CALLS = 600


@dataclass
class Traffic:
    """Calls at a steady pace, until nobody answers; keeps when each was answered."""

    url: str
    answered: dict[str, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as calls:
            for number in range(100 * PER_SECOND):
                call = calls.create_task(self._call(session, number))
                if number % PER_SECOND == PER_SECOND - 1 and not await call:
                    return
                await asyncio.sleep(1 / PER_SECOND)

    async def _call(self, session: aiohttp.ClientSession, number: int) -> bool:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"call {number}"}]}
        try:
            async with session.post(
                f"{self.url}/chat/completions", json=body, headers={"x-understudies-task": "steady"}
            ) as response:
                await response.read()
        except aiohttp.ClientError:
            return False
        self.answered[response.headers["x-understudies-invocation"]] = datetime.now(UTC)
        return True


async def test_a_kill_loses_at_most_the_last_second_and_the_ledger_has_all_that_is_stored(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with FakeTeacher() as teacher:
        async with up_command(tmp_path, teacher.url) as first:
            traffic = Traffic(await first.wait_router_url())
            running = asyncio.create_task(traffic.run())
            await wait_until(lambda: len(traffic.answered) >= CALLS)
            killed = datetime.now(UTC)
            await first.kill()
            await running
        async with up_command(tmp_path, teacher.url) as second:
            await second.wait_router_url()
            assert await second.terminate() == 0
    rows = await query_store(tmp_path, "SELECT id, cost_usd FROM invocations FINAL")
    there = {row["id"] for row in rows}
    lost = {call: at for call, at in traffic.answered.items() if call not in there}
    oldest = killed - min(lost.values(), default=killed)
    record_property("lost", f"{len(lost)} of {len(traffic.answered)} calls, the oldest {oldest} before the kill")
    assert oldest <= WINDOW
    assert len(there) > CALLS / 2
    books = json.loads((tmp_path / "snapshots" / "budget.json").read_bytes())["state"]["books"]
    (book,) = [book for book in books if book["task"] == "steady"]
    assert len(there) <= book["ledger"]["calls"] <= len(there) + len(lost)
