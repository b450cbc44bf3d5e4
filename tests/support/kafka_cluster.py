"""Three Apache Kafka brokers for tests: topics have three replicas, of which two must have what is acknowledged."""

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from tests.support.kafka_server import KafkaServer, free_port

BROKERS: Final = 3
_IN_SYNC_S: Final = 120.0
# Failures are noticed in two to three seconds instead of nine.
_PROPERTIES: Final = """
node.id={node}
controller.quorum.voters={voters}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=5000
controlled.shutdown.enable=false
log.cleaner.dedupe.buffer.size=8388608
"""


class KafkaCluster:
    """Three brokers that elect their controller among themselves; an async context manager."""

    def __init__(self) -> None:
        controllers = [free_port() for _ in range(BROKERS)]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        self.brokers = {
            number: KafkaServer(controller=port, properties=_PROPERTIES.format(node=number, voters=voters), heap_mb=160)
            for number, port in enumerate(controllers, 1)
        }
        self.bootstrap = ",".join(broker.bootstrap for broker in self.brokers.values())

    async def find_leader(self, topic: str, partition: int) -> int:
        """Return the number of the broker that leads a partition; asks until there is one."""
        return int((await self._find_partition(topic, partition, in_sync=1))["leader"])

    async def wait_in_sync(self, topic: str, partition: int) -> None:
        """Wait until all replicas of a partition have what its leader has."""
        await self._find_partition(topic, partition, in_sync=BROKERS)

    async def _find_partition(self, topic: str, partition: int, in_sync: int) -> dict[str, Any]:
        until = time.monotonic() + _IN_SYNC_S
        found: Any = None
        while time.monotonic() < until:
            try:
                found = await self._describe(topic, partition)
            except KafkaError as error:
                found = error
            else:
                if found["leader"] in self.brokers and len(found["isr"]) >= in_sync:
                    return dict(found)
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{topic}/{partition} has no {in_sync} replicas in sync: {found!r}")

    async def _describe(self, topic: str, partition: int) -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
        try:
            await admin.start()
            (described,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        return next(one for one in described["partitions"] if one["partition"] == partition)

    async def __aenter__(self) -> Self:
        try:
            # None answers before a majority is there to elect a controller.
            await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in self.brokers.values()))
        except BaseException:
            self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for broker in self.brokers.values():
            broker.stop()
