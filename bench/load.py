"""A steady load through all five services: what each costs, how far behind it is, whether its memory grows.

    python bench/load.py --per-second 1000 --seconds 600 --by-sdk 0
    python bench/load.py --plan 10000

Calls leave by a timetable (open loop), all of them different, over ten tasks: most through the router to an instant
upstream, `--by-sdk` of them published as an agent's SDK does. A student serves one task, audited; one has a budget, in
Redis. Everything runs here: Apache Kafka, ClickHouse's engine behind its HTTP interface, Redis, the five services as
processes, and the load. CPU counts, as the cores may have other work. At the end every call that was answered has to
be in the store once. The last line is one JSON object. It needs UNDERSTUDIES_TEST_KAFKA_LIBS, Java, redis-server and
nginx.

`--plan N` computes what N calls/s take, from figures that were measured with the above.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from bench.capacity import plan
from bench.proxies.nginx import start_instant_upstream
from bench.proxies.payloads import ANSWER
from bench.proxies.process import ROOT, process_cpu_s, process_rss_mb, process_tree
from tests.support.agents import BOUNDED
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.datasets import TASK
from tests.support.deployment import RULES, SETTINGS
from tests.support.kafka_server import KafkaServer
from tests.support.promoted_student import write_student_story
from tests.support.redis_server import RedisServer
from tests.support.sample_events import make_invocation

from understudies.client import Understudies
from understudies.events import INVOCATIONS, new_id
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store
from understudies.testing.stack import SERVICES, Stack

TASKS: Final = (TASK, BOUNDED, *(f"plain-{number}" for number in range(8)))
AUDIT_RATE: Final = 0.05
READERS: Final = ("observer", "evaluator", "budget")
SAMPLE_S: Final = 5.0
SETTLE_S: Final = 300.0
MAX_GROWTH: Final = 1.1
_STORED_SQL: Final = (
    "SELECT sum(bytes_on_disk) / max2(sum(rows), 1) AS bytes FROM system.parts WHERE active AND table = 'invocations'"
)
_PROGRAMS: Final = {
    "kafka.Kafka": "kafka",
    "clickhouse_http.py": "clickhouse",
    "redis-server": "redis",
    "nginx": "upstream",
    "bench.proxies.open_loop": "load",
}


@dataclass
class Sample:
    """One look at all processes: CPU seconds so far, resident memory in MB, and events not read yet, by name."""

    at: float
    calls: int
    cpu_s: dict[str, float]
    rss_mb: dict[str, float]
    lag: dict[str, int] = field(default_factory=dict)


def find_processes() -> dict[str, list[int]]:
    """Return the processes that the bench has started, by name, each with its children."""
    found: dict[str, list[int]] = {}
    for pid in process_tree(os.getpid())[1:]:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if "understudies.cli" in words:
                service = words[words.index("understudies.cli") + 1]
                found[service], found[f"{service}'s worker"] = [pid], process_tree(pid)[1:]
            for program, name in _PROGRAMS.items():
                if any(program in word for word in words):
                    found[name] = [pid]
    return {name: pids for name, pids in found.items() if pids}


class LagReader:
    """Reads how many events of the topic of calls each group has not committed yet."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
        self._partitions = [TopicPartition(INVOCATIONS.name, number) for number in range(INVOCATIONS.partitions)]

    async def __aenter__(self) -> "LagReader":
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def read(self) -> tuple[int, dict[str, int]]:
        """Return the number of events on the topic, and of each reader's group those that it has not committed."""
        committed = {
            name: await self._admin.list_consumer_group_offsets(f"{self._prefix}-{name}", partitions=self._partitions)
            for name in READERS
        }
        ends = await self._consumer.end_offsets(self._partitions)
        lag = {
            name: sum(max(0, end - max(0, offsets[where].offset)) for where, end in ends.items())
            for name, offsets in committed.items()
        }
        return sum(ends.values()), lag


async def mean_event_bytes(bootstrap: str, count: int = 1000) -> int:
    """Return the mean size of the first events on the topic of calls: key, value and headers."""
    sizes: list[int] = []
    consumer = AIOKafkaConsumer(INVOCATIONS.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            async for record in consumer:
                headers = sum(len(name) + len(value) for name, value in record.headers)
                sizes.append(len(record.key or b"") + len(record.value) + headers)
                if len(sizes) == count:
                    break
    except TimeoutError:
        print(f"only {len(sizes)} events could be read", flush=True)
    finally:
        await consumer.stop()
    return round(sum(sizes) / max(1, len(sizes)))


@dataclass
class Load:
    """A stack under load, and what was seen of it."""

    given: argparse.Namespace
    folder: Path
    stack: Stack
    store_url: str
    prefix: str
    samples: list[Sample] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    stored_bytes: int = 0

    async def run(self) -> dict[str, Any]:
        """Load the stack for so long, wait until all is read, and compare."""
        ids = self.folder / "ids"
        words = [self.stack.url.removesuffix("/v1"), str(self.given.per_second - self.given.by_sdk)]
        words += [str(self.given.seconds), "--tasks", ",".join(TASKS), "--ids", str(ids)]
        async with LagReader(self.stack.bootstrap, self.prefix) as lag:
            load = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.proxies.open_loop", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(lag))
                if self.given.by_sdk:
                    group.create_task(self._publish())
                output, _ = await load.communicate()
                watching.cancel()
            ended = time.monotonic()
            answers = json.loads(output)
            print(f"answers: {answers}", flush=True)
            held = await self._wait_stored(len(self.published) + answers["requests"] - answers["errors"])
            settled_s = time.monotonic() - ended
            left = (await lag.read())[1]
            while any(left.values()) and time.monotonic() - ended < SETTLE_S:
                await asyncio.sleep(0.5)
                left = (await lag.read())[1]
        served = [line.split() for line in ids.read_text().splitlines()]
        event_bytes = await mean_event_bytes(self.stack.bootstrap)
        found = self._figures(answers, served, held, settled_s)
        return found | {"lag_at_end": left, "event_bytes": event_bytes}

    async def _watch(self, lag: LagReader) -> None:
        events_before = (await lag.read())[0]
        while True:
            processes = find_processes()
            events, behind = await lag.read()
            sample = Sample(
                time.monotonic(),
                events - events_before,
                {name: sum(map(process_cpu_s, pids)) for name, pids in processes.items()},
                {name: sum(map(process_rss_mb, pids)) for name, pids in processes.items()},
                behind,
            )
            sample.cpu_s["bench"] = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            self.samples.append(sample)
            if len(self.samples) % 6 == 1:
                print(f"{sample.calls:8} events, behind {behind}, MB {_rounded(sample.rss_mb, 0)}", flush=True)
            await asyncio.sleep(SAMPLE_S)

    async def _publish(self) -> None:
        """Publish calls as the SDK of an agent does, by a timetable."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with Understudies(self.stack.bootstrap, redact=None) as sdk:
            for number in range(self.given.by_sdk * self.given.seconds):
                if (wait := began + number / self.given.by_sdk - loop.time()) > 0:
                    await asyncio.sleep(wait)
                now = datetime.now(UTC)
                call = make_invocation(
                    f"by the SDK {number}", task="sdk", at=now, id=new_id(now), cost_usd=Decimal(1) / 10**6
                )
                if not sdk.publish_nowait(call):
                    raise RuntimeError("the SDK's buffer is full: Kafka does not keep up")
                self.published.add(call.id)
            await asyncio.to_thread(sdk.flush, 60)
            if sdk.dropped:
                raise RuntimeError(f"the SDK lost events: {sdk.losses}")

    async def _wait_stored(self, expected: int) -> list[dict[str, Any]]:
        """Wait until the store has so many live calls, or for as long as is patient; returns all rows."""
        store = await Store.open(self.store_url)
        until = time.monotonic() + SETTLE_S
        try:
            while time.monotonic() < until:
                (row,) = await store.query("SELECT uniqExact(id) AS n FROM invocations WHERE origin = 'live'")
                if row["n"] >= expected:
                    break
                await asyncio.sleep(0.5)
            (disk,) = await store.query(_STORED_SQL)
            self.stored_bytes = disk["bytes"]
            return await store.query("SELECT id, origin, served_by, count() AS n FROM invocations FINAL GROUP BY ALL")
        finally:
            await store.close()

    def _figures(
        self,
        answers: dict[str, Any],
        served: Sequence[Sequence[str]],
        held: Sequence[Mapping[str, Any]],
        settled_s: float,
    ) -> dict[str, Any]:
        live = {row["id"]: row for row in held if row["origin"] == "live"}
        expected = self.published | {id_ for id_, _ in served}
        first = self.samples[len(self.samples) // 6]
        last = self.samples[-1]
        calls = last.calls - first.calls
        cpu = {name: (last.cpu_s[name] - first.cpu_s[name]) / calls * 1e6 for name in last.cpu_s if name in first.cpu_s}
        growth = {name: last.rss_mb[name] / first.rss_mb[name] for name in last.rss_mb if name in first.rss_mb}
        seconds = last.at - first.at
        lost, unknown = expected - live.keys(), live.keys() - expected
        twice = sum(row["n"] > 1 for row in held)
        exactly_once = not (lost or unknown or twice) and len(expected) == answers["requests"] + len(self.published)
        return {
            "bench": "load",
            "asked_per_second": self.given.per_second,
            "by_sdk_per_second": self.given.by_sdk,
            "seconds": self.given.seconds,
            "fetch_min_bytes": self.given.fetch_min_bytes,
            "fetch_max_wait_ms": self.given.fetch_max_wait_ms,
            "answers": answers,
            "events_per_second": round(calls / seconds, 1),
            "cores_used": round(sum(last.cpu_s.values()) / seconds - sum(first.cpu_s.values()) / seconds, 2),
            "cpu_us_an_event": _rounded(cpu, 0),
            "rss_mb_at_a_sixth": _rounded(first.rss_mb, 0),
            "rss_mb_at_the_end": _rounded(last.rss_mb, 0),
            "growth": _rounded(growth, 3),
            "rss_mb_by_tenth": _by_tenth(self.samples),
            "lag_max": {name: max(sample.lag[name] for sample in self.samples) for name in READERS},
            "lag_mean_by_third": _by_third(self.samples),
            "stored_bytes_an_event": round(self.stored_bytes),
            "stored_after_s": round(settled_s, 1),
            "live": len(live),
            "audits": len(held) - len(live),
            "by_student": sum(by == "student" for _, by in served),
            "lost": len(lost),
            "unknown": len(unknown),
            "twice": twice,
            "exactly_once": exactly_once,
        }


def _rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in sorted(values.items())}


def _by_third(samples: Sequence[Sample]) -> dict[str, list[int]]:
    third = max(1, len(samples) // 3)
    parts = [samples[:third], samples[third : 2 * third], samples[2 * third :]]
    return {
        name: [round(sum(sample.lag[name] for sample in part) / max(1, len(part))) for part in parts]
        for name in READERS
    }


def _by_tenth(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Return the memory of each service in MB at ten moments, by which what levels off differs from what grows."""
    moments = [samples[min(len(samples) - 1, len(samples) * tenth // 10)] for tenth in range(1, 11)]
    return {name: [round(one.rss_mb.get(name, 0)) for one in moments] for name in SERVICES}


@contextlib.asynccontextmanager
async def open_load(given: argparse.Namespace, folder: Path) -> AsyncIterator[Load]:
    """Start everything, with a student in force."""
    prefix = f"load-{uuid.uuid4().hex[:8]}"
    upstream = start_instant_upstream(folder, ANSWER.replace("card_arrival", "card arrival"))
    env = {**SETTINGS, "UNDERSTUDIES_BUS_GROUP_PREFIX": prefix, "UNDERSTUDIES_BUDGET_MIN_EXAMPLES": "100000000"}
    env |= {
        "UNDERSTUDIES_BUS_FETCH_MIN_BYTES": str(given.fetch_min_bytes),
        "UNDERSTUDIES_BUS_FETCH_MAX_WAIT_MS": str(given.fetch_max_wait_ms),
    }
    try:
        async with KafkaServer() as kafka, ClickHouseServer() as clickhouse, RedisServer() as redis:
            data = folder / "services"
            stack = Stack(
                data, teacher_url=f"{upstream.url}/v1", bootstrap=kafka.bootstrap, store_url=clickhouse.url(),
                redis_url=redis.url, rules=RULES, env=env,
            )  # fmt: skip
            story = await write_student_story(data)
            async with stack:
                bus = KafkaBus(BusSettings(bootstrap=kafka.bootstrap, replication_factor=1), "outside")
                await bus.start()
                await bus.publish(*story[:-1], story[-1].model_copy(update={"audit_rate": AUDIT_RATE}))
                await bus.stop()
                await _wait_student(stack.url)
                yield Load(given, folder, stack, clickhouse.url(), prefix)
                codes = await stack.stop()
                if any(codes.values()):
                    raise RuntimeError(f"services ended with {codes}")
    finally:
        upstream.stop()


async def _wait_student(url: str) -> None:
    async with asyncio.timeout(120), aiohttp.ClientSession() as session:
        while True:
            async with session.get(url.removesuffix("/v1") + "/readyz") as response:
                if (await response.json())["tasks_served"]:
                    return
            await asyncio.sleep(0.1)


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run the load and return its figures."""
    with tempfile.TemporaryDirectory(prefix="understudies-load-") as folder:
        async with open_load(given, Path(folder)) as load:
            found = await load.run()
    grown = {name: value for name, value in found["growth"].items() if name in SERVICES and value > MAX_GROWTH}
    return found | {"grown_by_a_tenth": grown}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=1000)
    parser.add_argument("--by-sdk", type=int, default=0, help="of these, published as the SDK does")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--fetch-min-bytes", type=int, default=131_072, help="UNDERSTUDIES_BUS_FETCH_MIN_BYTES")
    parser.add_argument("--fetch-max-wait-ms", type=int, default=250, help="UNDERSTUDIES_BUS_FETCH_MAX_WAIT_MS")
    parser.add_argument("--plan", type=int, metavar="CALLS_PER_SECOND", help="compute instead what so many calls take")
    given = parser.parse_args()
    if given.plan is not None:
        print(json.dumps(plan(given.plan)))
        return
    found = asyncio.run(measure(given))
    print(json.dumps(found))
    sys.exit(0 if found["exactly_once"] else 1)


if __name__ == "__main__":
    main()
