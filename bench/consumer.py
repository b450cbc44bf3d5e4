"""What consuming by FastStream costs beside a bare loop over aiokafka's `getmany`, in batches of several sizes.

    python bench/consumer.py [--events 60000] [--rounds 3]

Both fetch the same events from the embedded broker, without a group, and make them records; the bus does it by
FastStream's batch subscriber, with its own handler, spans and counts. CPU of this process per event, in turns. The last
line is one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiokafka import AIOKafkaConsumer, TopicPartition
from bench.sink import make_values, publish_events

from understudies.events import INVOCATIONS
from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record

_BATCHES = (10, 100, 2000)


async def consume_bare(broker: EmbeddedBroker, n: int, batch: int) -> float:
    """CPU seconds of a loop over `getmany` that makes records."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    began, got = time.process_time(), 0
    await consumer.start()
    consumer.assign([TopicPartition(INVOCATIONS.name, part) for part in range(INVOCATIONS.partitions)])
    while got < n:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=batch)
        records = [
            Record(one.topic, one.partition, one.offset, one.key, one.value or b"", one.headers)
            for part in fetched.values()
            for one in part
        ]
        got += len(records)
    await consumer.stop()
    return time.process_time() - began


async def consume_by_bus(broker: EmbeddedBroker, n: int, batch: int) -> float:
    """CPU seconds of the bus with a handler that counts."""
    bus, done, got = KafkaBus(broker.settings, "bench"), asyncio.Event(), 0

    async def handle(records: Any) -> None:
        nonlocal got
        got += len(records)
        if got >= n:
            done.set()

    bus.consume([INVOCATIONS], handle, max_records=batch)
    began = time.process_time()
    await bus.start()
    await done.wait()
    await bus.stop()
    return time.process_time() - began


async def compare(events: int, rounds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    async with EmbeddedBroker() as broker:
        setup = KafkaBus(broker.settings, "setup")
        await setup.start()
        await setup.stop()
        await publish_events(broker.bootstrap, make_values(events))
        for batch in _BATCHES:
            taken: dict[str, list[float]] = {"bare": [], "bus": []}
            for _ in range(rounds):
                taken["bare"].append(await consume_bare(broker, events, batch))
                taken["bus"].append(await consume_by_bus(broker, events, batch))
            bare, bus = (statistics.median(seconds) / events * 1e6 for seconds in taken.values())
            figures[f"batches of {batch}"] = {
                "bare_cpu_us_per_event": round(bare, 2),
                "bus_cpu_us_per_event": round(bus, 2),
                "bus_cpu_us_more_per_batch": round((bus - bare) * batch),
            }
            print(f"batches of {batch}: {figures[f'batches of {batch}']}", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(compare(options.events, options.rounds))))


if __name__ == "__main__":
    main()
