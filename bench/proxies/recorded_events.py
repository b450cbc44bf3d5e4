"""What was recorded: the events on the topic of calls, counted."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from understudies.events import INVOCATIONS

_STILL_S = 3.0


@dataclass
class RecordedCounts:
    """Calls with an event, audits of them, events that came more than once, and the bytes of all."""

    calls: int = 0
    audits: int = 0
    duplicates: int = 0
    mb: float = 0.0
    _ids: set[str] = field(default_factory=set, repr=False)

    def add(self, value: bytes) -> None:
        """Count an event."""
        event = json.loads(value)
        self.mb += len(value) / 1e6
        if event["id"] in self._ids:
            self.duplicates += 1
            return
        self._ids.add(event["id"])
        if event.get("origin") == "audit":
            self.audits += 1
        else:
            self.calls += 1


class TopicReader:
    """Reads the topic from its beginning, again and again, each event once."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._offsets = dict.fromkeys(range(INVOCATIONS.partitions), 0)
        self.recorded = RecordedCounts()

    def read_until(self, calls: int, timeout_s: float = 120.0) -> RecordedCounts:
        """All that is recorded once there are so many calls, or once nothing more comes."""
        asyncio.run(self._read(calls, timeout_s))
        return self.recorded

    async def _read(self, calls: int, timeout_s: float) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=None, auto_offset_reset="earliest", fetch_max_bytes=64_000_000,
            max_partition_fetch_bytes=16_000_000, fetch_max_wait_ms=50,
        )  # fmt: skip
        await consumer.start()
        try:
            consumer.assign([TopicPartition(INVOCATIONS.name, number) for number in self._offsets])
            for number, offset in self._offsets.items():
                consumer.seek(TopicPartition(INVOCATIONS.name, number), offset)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._drain(consumer, calls)
        finally:
            await consumer.stop()

    async def _drain(self, consumer: AIOKafkaConsumer, calls: int) -> None:
        clock = asyncio.get_running_loop().time
        last = clock()
        while clock() - last < _STILL_S * (1 if self.recorded.calls >= calls else 10):
            try:
                found = await consumer.getmany(timeout_ms=500)
            except KafkaError:
                continue
            for partition, records in found.items():
                for record in records:
                    self.recorded.add(record.value)
                self._offsets[partition.partition] = records[-1].offset + 1
                last = clock()
