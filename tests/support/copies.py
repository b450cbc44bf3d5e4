"""Several copies of evaluator and budget that share the work, traffic for them, and what came of it."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.support.datasets import TASK
from tests.support.promoted_student import STUDENT, write_student_story
from tests.support.sample_events import make_invocation

from understudies.events import VERDICTS, Invocation, Promotion, Topic, Verdict, new_id
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings
from understudies.testing.service_process import ServiceProcess

SERVICES: Final = ("evaluator", "budget")
_KINDS: Final = ("refund", "delivery")
_FOREIGN_SHARE: Final = 0.02


@dataclass
class Copies:
    """The processes, each service's with one data folder, and what was published to them."""

    folder: Path
    bootstrap: str
    tasks: Sequence[str]
    bus: KafkaBus
    processes: dict[str, list[ServiceProcess]]
    published: list[Invocation] = field(default_factory=list)

    def make_copy(self, service: str, *, data: Path | None = None, partitioned: bool = True) -> ServiceProcess:
        """Return a further copy that is not started yet, by default on the folder that all share."""
        folder, artifacts = data or self.folder / service, f"file://{self.folder / 'artifacts'}"
        env = {"UNDERSTUDIES_BUS_BOOTSTRAP": self.bootstrap, "UNDERSTUDIES_LOG_LEVEL": "INFO"}
        words = ["--data", str(folder), "--artifacts", artifacts, *(["--partitioned"] if partitioned else [])]
        return ServiceProcess(service, *words, env=env)

    async def start(self, service: str) -> ServiceProcess:
        """Start a further copy, and wait until it has joined."""
        process = self.make_copy(service)
        self.processes[service].append(process)
        await process.start()
        await process.wait_ready()
        return process

    async def publish_calls(self, each: int, rng: Random) -> None:
        """Publish so many calls of every task; one in fifty goes to a partition of another producer's choice."""
        now = datetime.now(UTC)
        calls = [_make_call(task, rng, now) for task in self.tasks for _ in range(each)]
        rng.shuffle(calls)
        foreign = [call for call in calls if rng.random() < _FOREIGN_SHARE]
        placed = {call.id for call in foreign}
        await self.bus.publish(*(call for call in calls if call.id not in placed))
        messages = [self.bus.to_message(call) for call in foreign]
        # Without a key any partition is chosen.
        await self.bus.publish_encoded([message._replace(key=None) for message in messages])
        self.published += calls

    @contextlib.asynccontextmanager
    async def traffic(self, calls_per_s: float, rng: Random) -> AsyncIterator[None]:
        """Publish calls meanwhile; at the end the last of them have arrived."""
        ending = asyncio.Event()

        async def publish() -> None:
            while not ending.is_set():
                await self.publish_calls(1, rng)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ending.wait(), len(self.tasks) / calls_per_s)

        publishing = asyncio.create_task(publish())
        try:
            yield
        finally:
            ending.set()
            await publishing

    async def wait_handled(self, service: str, topic: Topic, *, seconds: float = 120) -> None:
        """Wait until saved state of the service covers all that is on a topic now."""
        ends = await end_offsets(self.bootstrap, topic)
        async with asyncio.timeout(seconds):
            while True:
                saved = _saved_offsets(self.folder / service)
                if all(saved.get(f"{topic.name}/{number}", 0) >= end for number, end in ends.items()):
                    return
                await asyncio.sleep(0.2)

    async def wait_verdicts(self, *, seconds: float = 120) -> list[Verdict]:
        """Return the verdicts in shadow on the topic, once every published call has one."""
        wanted = {call.id for call in self.published}
        found: list[Verdict] = []
        async with asyncio.timeout(seconds):
            async for event in read_events(self.bootstrap, VERDICTS):
                if isinstance(event, Verdict) and event.phase == "shadow":
                    found.append(event)
                    wanted.discard(event.invocation)
                if not wanted:
                    return found
        raise AssertionError("reading never ends")

    def books(self) -> dict[str, dict[str, Any]]:
        """Return the budget's state by task, from the snapshots of all partitions; fails if a task is in two."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.folder / "budget" / "snapshots").glob("partition-*/budget.json")):
            for book in json.loads(path.read_bytes())["state"]["books"]:
                assert book["task"] not in found, book["task"]
                found[book["task"]] = book
        return found

    async def stop(self) -> None:
        """End all copies as a supervisor does."""
        for processes in self.processes.values():
            codes = await asyncio.gather(*(one.terminate() for one in processes if one.is_running))
            assert not any(codes), (codes, processes[0].output)


@contextlib.asynccontextmanager
async def open_copies(folder: Path, bootstrap: str, *, tasks: int, copies: int) -> AsyncIterator[Copies]:
    """Start so many copies of each service, with one student on trial for each task."""
    story = await write_student_story(folder)
    names = [f"{TASK}-{number}" for number in range(tasks)]
    bus = KafkaBus(BusSettings(bootstrap=bootstrap, replication_factor=1), "outside")
    await bus.start()
    opened = Copies(folder, bootstrap, names, bus, {service: [] for service in SERVICES})
    try:
        on_trial = [stage for stage in story if stage.stage in ("authorised", "collected", "trained")]
        await bus.publish(*(_of_task(stage, name) for name in names for stage in on_trial))
        for service in SERVICES:
            # The first makes what all share.
            await opened.start(service)
            await asyncio.gather(*(opened.start(service) for _ in range(copies - 1)))
        yield opened
    finally:
        await asyncio.gather(*(one.close() for processes in opened.processes.values() for one in processes))
        await bus.stop()


async def read_events(bootstrap: str, topic: Topic) -> AsyncIterator[Any]:
    """Yield the events of a topic from its beginning, without an end."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic.name, number) for number in range(topic.partitions)])
        async for record in consumer:
            yield topic.decode(record.value)
    finally:
        await consumer.stop()


async def end_offsets(bootstrap: str, topic: Topic) -> dict[int, int]:
    """Return the end offset of each partition of a topic."""
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        return {where.partition: end for where, end in (await consumer.end_offsets(places)).items()}
    finally:
        await consumer.stop()


def repeated(verdicts: Sequence[Verdict]) -> int:
    """Return how many verdicts are on the topic again, with the same id; fails if a call has two of different ids."""
    ids = {(one.invocation, one.id) for one in verdicts}
    calls = Counter(invocation for invocation, _ in ids)
    assert set(calls.values()) == {1}, [call for call, times in calls.items() if times > 1][:5]
    return len(verdicts) - len(ids)


def check_books(copies: Copies) -> None:
    """Check that every call and every verdict was counted once, by one copy of the budget."""
    books = copies.books()
    calls = Counter(call.task for call in copies.published)
    counted = {task: book["ledger"]["calls"] for task, book in books.items()}
    assert not (wrong := _differences(counted, calls)), f"calls counted and published: {wrong}"
    judged = {task: sum(student["judged"] for student in book["students"]) for task, book in books.items()}
    assert not (wrong := _differences(judged, calls)), f"verdicts counted and calls published: {wrong}"


def _differences(counted: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    both = {task: (counted.get(task, 0), wanted.get(task, 0)) for task in {*counted, *wanted}}
    return {task: pair for task, pair in both.items() if pair[0] != pair[1]}


_numbers = count()


def _make_call(task: str, rng: Random, now: datetime) -> Invocation:
    kind = rng.choice(_KINDS)
    return make_invocation(f"{kind} of my purchase {next(_numbers)}", kind, task=task, at=now, id=new_id(now))


def _of_task(stage: Promotion, task: str) -> Promotion:
    student = stage.student.replace(STUDENT.rpartition("@")[0], task)
    return stage.model_copy(update={"id": f"{stage.id}-{task}", "task": task, "student": student})


def _saved_offsets(data: Path) -> dict[str, int]:
    saved: dict[str, int] = {}
    for path in data.glob("snapshots/partition-*/*.json"):
        saved |= json.loads(path.read_bytes())["offsets"]
    return saved
