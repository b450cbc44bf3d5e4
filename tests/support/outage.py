"""A router as a process behind a line that can be cut, calls at a steady pace, and what came of them on the topic."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from aiokafka.errors import KafkaError
from tests.support.commands import TIMEOUT_S, Command
from tests.support.tansu_broker import TansuBroker, open_consumer
from tests.support.tcp_proxy import TcpProxy

from understudies.events import INVOCATIONS, Invocation

IN_FLIGHT: Final = 100
"""At most so many events are on their way at a time; where the line is cut then, they may arrive and come again."""

TASKS: Final = tuple(f"task-{number}" for number in range(8))


class BrokerLine(NamedTuple):
    """A broker, and the line to it."""

    proxy: TcpProxy
    broker: TansuBroker

    @property
    def address(self) -> str:
        """The broker's address at this end of the line."""
        return self.proxy.address


@asynccontextmanager
async def open_broker_line() -> AsyncIterator[BrokerLine]:
    """A fresh broker behind a line."""
    async with TcpProxy() as proxy:
        broker = TansuBroker(advertised=proxy.address)
        proxy.target = broker.bootstrap
        async with broker:
            yield BrokerLine(proxy, broker)


def router_command(
    data: Path, teacher_url: str, bootstrap: str, *more: str | Path, env: Mapping[str, str] | None = None
) -> Command:
    """`understudies router` on any free port."""
    words = ("--port", "0", "--teacher-url", teacher_url, "--bootstrap", bootstrap, "--data", data)
    return Command("router", *words, *more, env=env)


async def wait_router_url(running: Command) -> str:
    """The base URL for OpenAI clients of a router alone, once it listens."""
    return (await running.wait_for_line(r"router runs: listens on (http://\S+/v1), broker "))[1]


@dataclass
class CallResponse:
    """How one call went."""

    task: str
    started_at: float
    seconds: float
    status: int
    id: str


@dataclass
class SteadyTraffic:
    """Callers at a steady pace, one for each task: each asks again once it is answered."""

    url: str
    per_second: float = 160.0
    new_connections: bool = False
    """Whether each call comes on a connection of its own."""
    answers: list[CallResponse] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SteadyTraffic"]:
        """Calls are made while the block runs; those that have begun are waited for."""
        connector = aiohttp.TCPConnector(limit=0, force_close=self.new_connections)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as callers:
            for task in TASKS:
                callers.create_task(self._call_repeatedly(session, task))
            try:
                yield self
            finally:
                self._stopping.set()

    async def wait_more_answers(self, count: int) -> None:
        """Wait until so many more calls were answered."""
        wanted = len(self.answers) + count
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.answers) < wanted:
                self._answered.clear()
                await self._answered.wait()

    @property
    def ids(self) -> dict[str, list[str]]:
        """What was answered by task, in order."""
        found: dict[str, list[str]] = {task: [] for task in TASKS}
        for answer in self.answers:
            found[answer.task].append(answer.id)
        return found

    @property
    def errors(self) -> list[str]:
        """What failed, and what was answered other than 200."""
        return self.failures + [f"{answer.status}" for answer in self.answers if answer.status != 200]

    async def _call_repeatedly(self, session: aiohttp.ClientSession, task: str) -> None:
        loop = asyncio.get_running_loop()
        gap = len(TASKS) / self.per_second
        due = loop.time() + gap * TASKS.index(task) / len(TASKS)
        number = 0
        while not self._stopping.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due + gap, loop.time() - 1.0)
            await self._call(session, task, number)
            number += 1

    async def _call(self, session: aiohttp.ClientSession, task: str, number: int) -> None:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"{task} call {number}"}]}
        began = time.time()
        timer = time.perf_counter()
        try:
            async with session.post(
                f"{self.url}/chat/completions", json=body, headers={"x-understudies-task": task}
            ) as response:
                await response.read()
        except aiohttp.ClientError as error:
            self.failures.append(repr(error))
            self._stopping.set()
            return
        id_ = response.headers.get("x-understudies-invocation", "")
        self.answers.append(CallResponse(task, began, time.perf_counter() - timer, response.status, id_))
        self._answered.set()


async def fetch_readiness(url: str) -> dict[str, Any]:
    """What the router says of itself."""
    async with aiohttp.ClientSession() as session, session.get(url.removesuffix("/v1") + "/readyz") as response:
        found: dict[str, Any] = await response.json()
        return found


async def wait_readiness(url: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until what the router says of itself is as wanted."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds(found := await fetch_readiness(url)):  # noqa: ASYNC110 - another process, which announces nothing
            await asyncio.sleep(0.05)
        return found


def spool_size(data: Path) -> int:
    """Bytes in the spool's files."""
    return sum(_size(path) for path in data.rglob("*.spool"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@dataclass
class ReceivedEvents:
    """The events on the topic, by task and in order."""

    ids: dict[str, list[str]] = field(default_factory=lambda: {task: [] for task in TASKS})

    @property
    def duplicates(self) -> int:
        """How many came once more."""
        return sum(n - 1 for ids in self.ids.values() for n in Counter(ids).values())

    @property
    def first_occurrences(self) -> dict[str, list[str]]:
        """In the order in which each came first."""
        return {task: list(dict.fromkeys(ids)) for task, ids in self.ids.items()}


async def read_received_events(bootstrap: str) -> ReceivedEvents:
    """All that is on the topic of calls now."""
    found = ReceivedEvents()
    async with asyncio.timeout(TIMEOUT_S), open_consumer(bootstrap, INVOCATIONS) as consumer:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while not await _is_at_end(consumer, partitions, ends):
            try:
                batches = await consumer.getmany(timeout_ms=50)
            except KafkaError:
                continue
            for records in batches.values():
                for record in records:
                    event = INVOCATIONS.decode(record.value)
                    if isinstance(event, Invocation) and event.task in found.ids:
                        found.ids[event.task].append(event.id)
    return found


async def _is_at_end(consumer: Any, partitions: Any, ends: Mapping[Any, int]) -> bool:
    for partition in partitions:
        # Asked for the latest offset, the embedded broker counts only the first record of the last batch.
        end = consumer.highwater(partition)
        end = ends[partition] if end is None else end
        if await consumer.position(partition) < max(end, ends[partition]):
            return False
    return True
