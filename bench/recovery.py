"""Kill budget and evaluator with a long history behind them, and measure until they work on.

    python bench/recovery.py --verdicts 1000000 --students 50

The state is that of so many audited verdicts on so many students, each with its trial, in snapshots as the services
write them. The services run as processes against Apache Kafka and are killed with kill -9 while calls come in.
Recovery is the time from the start of the new process until its snapshot on disk has a call published after the
kill. The bar: less than 10 s. The last line is one JSON object. It needs UNDERSTUDIES_TEST_KAFKA_LIBS and Java.
"""

import argparse
import asyncio
import copy
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.datasets import TASK
from tests.support.kafka_server import KafkaServer
from tests.support.promoted_student import STUDENT, write_student_story
from tests.support.sample_events import make_invocation

from understudies.budget.app import create_app as create_budget
from understudies.budget.settings import BudgetSettings
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.app import create_app as create_evaluator
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import INVOCATIONS, Verdict, new_id
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.rules.rules import Rules
from understudies.runtime.settings import BusSettings
from understudies.runtime.snapshots import SnapshotStore
from understudies.students.student_cache import StudentCache
from understudies.testing.stack import Stack

SERVICES = ("budget", "evaluator")
BATCH = 2000
_HEAD_BYTES = 65_536


async def write_history(folder: Path, generation: str, verdicts: int, students: int) -> dict[str, int]:
    """Write the snapshots of both services; returns their sizes in bytes."""
    story = await write_student_story(folder)
    budget = create_budget(BudgetSettings(), bus=CapturingBus().bus, rules=Rules(), new_id=new_id)
    await budget.handle(to_records(*story))
    each = verdicts // students
    now = datetime.now(UTC)
    for first in range(0, each, BATCH):
        batch = [_verdict(number, now) for number in range(first, min(first + BATCH, each))]
        await budget.handle(to_records(*batch))
    files = ObjectStore(f"file://{folder / 'artifacts'}")
    evaluator = create_evaluator(
        EvaluatorSettings(),
        bus=CapturingBus().bus,
        object_store=files,
        students=StudentCache(files),
        rules=Rules(),
        new_id=new_id,
    )
    await evaluator.handle(to_records(*story))
    calls = [
        make_invocation(f"refund of my purchase {number}", "refund", task=TASK, at=now, id=new_id(now))
        for number in range(min(each, EvaluatorSettings().n_max))
    ]
    for first in range(0, len(calls), BATCH):
        await evaluator.handle(to_records(*calls[first : first + BATCH]))
    states = {"budget": budget.state(), "evaluator": evaluator.state()}
    states["budget"]["books"] = _copies(states["budget"]["books"], students)
    states["evaluator"]["trials"] = _copies(states["evaluator"]["trials"], students)
    for name, state in states.items():
        SnapshotStore(folder / name / "snapshots").save(name, state, {}, generation)
    return {name: (folder / name / "snapshots" / f"{name}.json").stat().st_size for name in SERVICES}


def _verdict(number: int, now: datetime) -> Verdict:
    return Verdict(
        id=new_id(now),
        at=now,
        task=TASK,
        invocation=f"call-{number}",
        student=STUDENT,
        phase="audit",
        agreed=number % 50 != 0,
        score=float(number % 50 != 0),
        judge="label",
        confidence=0.9,
        fingerprint=f"{number:064x}",
        counts=False,
    )


def _copies(entries: list[Any], students: int) -> list[Any]:
    """The entry of the one task, once for each of so many tasks and their students."""
    (entry,) = json.loads(json.dumps(entries, default=str))
    made = []
    for number in range(students):
        one = copy.deepcopy(entry)
        made.append(json.loads(json.dumps(one).replace(f'"{TASK}', f'"{TASK}-{number}')))
    return made


async def measure(verdicts: int, students: int) -> dict[str, Any]:
    """Return sizes and times."""
    result: dict[str, Any] = {"bench": "recovery", "verdicts": verdicts, "students": students}
    with tempfile.TemporaryDirectory(prefix="understudies-recovery-") as name:
        folder = Path(name)
        async with KafkaServer() as kafka:
            result["snapshot_bytes"] = await write_history(folder, kafka.bootstrap, verdicts, students)
            print(f"snapshots: {result['snapshot_bytes']}", flush=True)
            stack = Stack(folder, bootstrap=kafka.bootstrap, store_url="chdb://", teacher_url="http://127.0.0.1:1/v1")
            async with stack:
                for service in SERVICES:
                    result[service] = await recover(stack, kafka.bootstrap, service)
                    print(f"{service}: {result[service]}", flush=True)
    result["within_10_s"] = all(max(result[service]) < 10 for service in SERVICES)
    return result


async def recover(stack: Stack, bootstrap: str, service: str, times: int = 3) -> list[float]:
    """Kill a service so often, and return the seconds until it had read on."""
    bus = KafkaBus(BusSettings(bootstrap=bootstrap, replication_factor=1), "outside")
    await bus.start()
    seconds = []
    try:
        for number in range(times):
            await bus.publish(*(_call(f"before {number} {n}") for n in range(200)))
            await stack.processes[service].kill()
            await bus.publish(_call(f"after {number}"))
            began = time.monotonic()
            wanted = await _ends(bootstrap)
            began = time.monotonic()
            await stack.start_services(service)
            while not _has(stack.folder / service, service, wanted):  # noqa: ASYNC110 - a file of another process
                await asyncio.sleep(0.05)
            seconds.append(round(time.monotonic() - began, 2))
    finally:
        await bus.stop()
    return seconds


def _call(text: str) -> Any:
    now = datetime.now(UTC)
    return make_invocation(text, task="recovery", at=now, id=new_id(now))


async def _ends(bootstrap: str) -> dict[str, int]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(INVOCATIONS.name, number) for number in range(INVOCATIONS.partitions)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return {f"{where.topic}/{where.partition}": end for where, end in ends.items() if end}


def _has(data: Path, service: str, wanted: dict[str, int]) -> bool:
    # The state comes last: reading all of it at each look would take seconds of the cores that are measured.
    with (data / "snapshots" / f"{service}.json").open("rb") as file:
        head = file.read(_HEAD_BYTES).decode(errors="ignore")
    found, _ = json.JSONDecoder().raw_decode(head.partition('"offsets":')[2])
    return all(found.get(where, 0) >= end for where, end in wanted.items())


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--students", type=int, default=50)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.verdicts, given.students))))


if __name__ == "__main__":
    main()
