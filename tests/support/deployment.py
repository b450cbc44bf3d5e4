"""The five services over a real Kafka, ClickHouse and Redis, with agents at work, for faults to be injected."""

import asyncio
import contextlib
import json
import os
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from tests.support.agents import BOUNDED, Agents, answer_intent
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.history_model import (
    INVOCATIONS_SQL,
    PROMOTIONS_SQL,
    TWICE_SQL,
    VERDICTS_SQL,
    Held,
    read_state,
    violations,
)
from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_server import KafkaServer
from tests.support.promoted_student import write_student_story
from tests.support.redis_server import RedisServer
from tests.support.small_disk import SmallDisk, small_disk

from understudies.events import PROMOTIONS, Event, Promotion, Topic
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store
from understudies.testing.service_process import ServiceProcess
from understudies.testing.stack import Stack

RULES: Final = f"""
[router]
when_online_away = "serve"

[tasks.{BOUNDED}]
daily_budget_usd = 1000
"""
SETTINGS: Final = {
    "OMP_NUM_THREADS": "1",
    "UNDERSTUDIES_ROUTER_STUDENT_TIMEOUT_S": "60",
    "UNDERSTUDIES_BUDGET_CANARY": "[1.0]",
    "UNDERSTUDIES_STORE_TIMEOUT_S": "5",
}
_SHIFTED_CLOCK: Final = Path(__file__).parent / "shifted_clock"
CONSISTENT_S: Final = 180.0
"""Long, for machines at work; what is wrong for good stays wrong."""


class Deployment:
    """Servers, services and agents; an async context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: KafkaServer | KafkaCluster,
        clickhouse: ClickHouseServer,
        redis: RedisServer,
        router_data: Path | None = None,
        partitioned: bool = False,
    ) -> None:
        self.folder = folder
        self._router_data = router_data
        self.disks: dict[str, SmallDisk] = {}
        self._kafka = kafka
        self.bootstrap = kafka.bootstrap
        self.clickhouse = clickhouse
        self.redis = redis
        self._port = _free_port()
        self.stack = Stack(
            folder,
            teacher=answer_intent,
            bootstrap=kafka.bootstrap,
            store_url=clickhouse.url(),
            redis_url=redis.url,
            rules=RULES,
            partitioned=partitioned,
            env={
                **SETTINGS,
                "UNDERSTUDIES_BUS_REPLICATION_FACTOR": "-1",
                "UNDERSTUDIES_BUS_GROUP_PREFIX": f"faults-{uuid.uuid4().hex[:8]}",
                "UNDERSTUDIES_ROUTER_PORT": str(self._port),
                "PYTHONPATH": os.pathsep.join(
                    [str(_SHIFTED_CLOCK), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
                ),
                "TEST_CLOCK_FILE": str(folder / "clock"),
            },
        )
        self.router_urls = [f"http://127.0.0.1:{self._port}/v1"]
        self.agents = Agents(lambda: random.choice(self.router_urls), kafka.bootstrap)

    @property
    def kafka(self) -> KafkaServer:
        """The broker of a deployment that has one."""
        if isinstance(self._kafka, KafkaCluster):
            raise RuntimeError("this deployment has several brokers")
        return self._kafka

    @property
    def cluster(self) -> KafkaCluster:
        """The brokers of a deployment that has several."""
        if isinstance(self._kafka, KafkaServer):
            raise RuntimeError("this deployment has one broker: open it with open_deployment(folder, KafkaCluster())")
        return self._kafka

    @property
    def history(self) -> Any:
        """What the agents saw."""
        return self.agents.history

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Deployment"]:
        """Start everything, with a student in force, and stop it at the end."""
        story = await write_student_story(self.folder)
        if self._router_data is not None:
            (self.folder / "router").symlink_to(self._router_data)
        async with self.stack:
            await self.publish(*story)
            await self.wait_student()
            yield self

    async def publish(self, *events: Event) -> None:
        """Publish events as another service would."""
        bus = KafkaBus(BusSettings(bootstrap=self.bootstrap, replication_factor=-1), "outside")
        await bus.start()
        try:
            await bus.publish(*events)
        finally:
            await bus.stop()

    async def wait_student(self) -> None:
        """Wait until the router has its student."""
        async with asyncio.timeout(CONSISTENT_S):
            while not await self.tasks_served(self.router_urls[0]):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def wait_routers_agree(self) -> None:
        """Wait until all routers serve the same tasks by students."""
        async with asyncio.timeout(CONSISTENT_S):
            while True:
                served = [await self.tasks_served(url) for url in self.router_urls]
                if served[0] and all(one == served[0] for one in served):
                    return

    async def tasks_served(self, url: str) -> list[str]:
        """The tasks that a router's students serve."""
        address = url.removesuffix("/v1") + "/readyz"
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            return list((await response.json())["tasks_served"])

    async def kill(self, name: str) -> None:
        """Kill a service in the middle of whatever it does."""
        self.history.router_kills += name == "router"
        await self.stack.processes[name].kill()

    @contextlib.asynccontextmanager
    async def replicas(self, *names: str) -> AsyncIterator[dict[str, ServiceProcess]]:
        """Second processes of services, each with a folder of its own; agents ask a second router too."""
        port = _free_port()
        env = {"UNDERSTUDIES_ROUTER_PORT": str(port)}
        others = {name: self.stack.make_process(name, data=self.folder / f"{name}-2", env=env) for name in names}
        async with contextlib.AsyncExitStack() as started:
            for other in others.values():
                await other.start()
                started.push_async_callback(other.close)
            await asyncio.gather(*(other.wait_ready() for other in others.values()))
            url = f"http://127.0.0.1:{port}/v1"
            if "router" in others:
                self.router_urls.append(url)
            try:
                yield others
            finally:
                self.router_urls[1:] = []
                codes = [await other.terminate() for other in others.values()]
            assert set(codes) == {0}

    def shift_clocks(self, hours: float) -> None:
        """Let the clocks of all services be wrong."""
        (self.folder / "clock").write_text(str(hours))

    async def read_records(self, topic: Topic) -> list[Any]:
        """All records of a topic, those of one partition in order."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        await consumer.start()
        found: list[Any] = []
        try:
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            while any([await consumer.position(one) < ends[one] for one in partitions]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
        finally:
            await consumer.stop()
        return found

    async def publish_records(self, topic: Topic, records: Sequence[Any]) -> None:
        """Publish records again as they are."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            for record in records:
                await producer.send(topic.name, record.value, key=record.key, headers=list(record.headers))
            await producer.flush()
        finally:
            await producer.stop()

    async def verify(self) -> Held:
        """Wait until nothing differs between what agents saw and what is held; fails with what does."""
        found: Sequence[str] = ["nothing could be read"]
        reads: list[float] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONSISTENT_S):
                while found:
                    reads.append(time.time())
                    try:
                        held = await self._read()
                        found = violations(self.history, held)
                    except (RetryLater, KafkaError, aiohttp.ClientError) as error:
                        found = [f"cannot be read: {error!r}"]
                    if found:
                        await asyncio.sleep(0.3)
        if found:
            shown = "\n".join(found[:20])
            outputs = "\n\n".join(f"{name}:\n{p.output[-3000:]}" for name, p in self.stack.processes.items())
            brokers = {"": self._kafka} if isinstance(self._kafka, KafkaServer) else self._kafka.brokers
            outputs += "".join(f"\n\nbroker {name}:\n{broker.output}" for name, broker in brokers.items())
            story = "\n".join(f"{e.id} {e.student} {e.stage}: {e.reason}" for e in await self.read_promotions())
            looked = f"{len(reads)} looks, the last {time.time() - reads[-1]:.0f} s ago; {self._describe_snapshots()}"
            raise AssertionError(f"{len(found)} violations:\n{shown}\n{looked}\n\n{story}\n\n{outputs}")
        return held

    async def _read(self) -> Held:
        store = await Store.open(self.clickhouse.url())
        try:
            rows = await store.query(INVOCATIONS_SQL)
            verdicts = await store.query(VERDICTS_SQL)
            stored = frozenset(row["id"] for row in await store.query(PROMOTIONS_SQL))
            twice = [
                row["id"]
                for table in ("invocations", "verdicts")
                for row in await store.query(TWICE_SQL.format(table=table))
            ]
        finally:
            await store.close()
        return Held(
            invocations=rows,
            verdicts=verdicts,
            twice=twice,
            stored_promotions=stored,
            promotions=await self.read_promotions(),
            routers={url: await self.tasks_served(url) for url in self.router_urls},
            budget=self._state("budget"),
            evaluator=self._state("evaluator"),
        )

    def _describe_snapshots(self) -> str:
        """Say how old snapshots are and up to where they go: a service may be slow, or have lost something."""
        told = []
        for name in ("budget", "evaluator"):
            path = self.folder / name / "snapshots" / f"{name}.json"
            if path.exists():
                offsets = json.loads(path.read_bytes())["offsets"]
                told.append(f"snapshot of {name}: {time.time() - path.stat().st_mtime:.0f} s old, at {offsets}")
        return "; ".join(told)

    def _state(self, service: str) -> dict[str, Any]:
        return read_state(self.folder / service, service)

    async def read_promotions(self) -> list[Promotion]:
        """All events on the topic of promotions, in order."""
        decoded, _ = decode_records([_to_record(record) for record in await self.read_records(PROMOTIONS)])
        return [event for _, event in decoded if isinstance(event, Promotion)]


@contextlib.asynccontextmanager
async def open_deployment(
    folder: Path, brokers: KafkaServer | KafkaCluster | None = None, *, partitioned: bool = False
) -> AsyncIterator[Deployment]:
    """A running deployment on servers of its own; the router's folder, with its spool, and the store can be filled.

    `partitioned`: evaluator and budget keep their state by partition, and share their work with further copies.
    """
    with (
        small_disk(folder / "spool-disk", megabytes=32) as spool,
        small_disk(folder / "store-disk", megabytes=256) as disk,
    ):
        async with (
            brokers or KafkaServer() as kafka,
            ClickHouseServer(folder=disk.folder / "data") as store,
            RedisServer() as redis,
        ):
            one = Deployment(
                folder / "services",
                kafka=kafka,
                clickhouse=store,
                redis=redis,
                router_data=spool.folder,
                partitioned=partitioned,
            )
            one.disks = {"spool": spool, "store": disk}
            async with one.running():
                yield one


def _to_record(record: Any) -> Record:
    return Record(record.topic, record.partition, record.offset, record.key, record.value or b"")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
