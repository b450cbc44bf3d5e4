"""How many events a second the observer's sink takes from the embedded broker into the embedded store.

Beside it, in the same run, the rate at which a bare Kafka client fetches the same events. With `--console` every round
is taken twice, in turns with nobody looking and with somebody who loads a page of the console every few seconds. The
last line is one JSON object. `--profile` writes where the time went to standard error.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from bench.console import create_console, load

from understudies.datasets.object_store import ObjectStore
from understudies.events import INVOCATIONS, Invocation, Message, Request, Response, SeededIds, encode, fingerprint
from understudies.observer.app import create_app
from understudies.observer.settings import ObserverSettings
from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.clock import SystemClock
from understudies.runtime.store import Store

START = datetime(2025, 1, 1, tzinfo=UTC)
LOOK_S = 5.0
"""Somebody who looks loads a page this often."""


@dataclass(frozen=True)
class SinkOptions:
    events: int
    rounds: int
    max_records: int
    profile: bool
    console: bool = False


def make_values(n: int) -> list[bytes]:
    """Events of about 0.5 kB."""
    ids = SeededIds("sink")
    made = []
    for i in range(n):
        at = START + timedelta(seconds=i)
        request = Request(messages=(Message(role="user", content=f"card {i} has not arrived, where is it?"),))
        call = Invocation(
            id=ids(at),
            at=at,
            task=f"task-{i % 7}",
            model="teacher-1",
            request=request,
            response=Response(message=Message(role="assistant", content="card_arrival"), finish_reason="stop"),
            fingerprint=fingerprint(request),
            tags={"team": "support"},
        )
        made.append(encode(call))
    return made


async def publish_events(bootstrap: str, lines: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=1 << 18)
    await producer.start()
    sent = [await producer.send(INVOCATIONS.name, line, partition=i % 6) for i, line in enumerate(lines)]
    await asyncio.gather(*sent)
    await producer.stop()


async def measure_fetch(bootstrap: str, n: int) -> float:
    """Seconds that a bare client takes to fetch everything."""
    consumer = AIOKafkaConsumer(INVOCATIONS.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    began = time.perf_counter()
    await consumer.start()
    got = 0
    while got < n:
        got += sum(map(len, (await consumer.getmany(timeout_ms=100, max_records=20_000)).values()))
    seconds = time.perf_counter() - began
    await consumer.stop()
    return seconds


async def look(store: Store) -> None:
    """Load the overview and the page of a task in turns."""
    app = create_console(store)
    while True:
        for page in ("overview", "task"):
            await asyncio.sleep(LOOK_S)
            await load(app, page)


class Sunk(NamedTuple):
    """The seconds and the seconds of CPU until all events were in the store, and the rows that are there."""

    wall: float
    cpu: float
    rows: int


async def measure_sink(broker: EmbeddedBroker, folder: Path, n: int, max_records: int, *, looks: bool = False) -> Sunk:
    """Store all events; with somebody who `looks`, the console's work is part of the CPU."""
    flow = InFlightTracker()
    flow.record_published(INVOCATIONS.name, n)
    store = await Store.open(f"chdb://{folder / 'store'}")
    bus = KafkaBus(broker.settings, "observer", flow)
    app = create_app(
        ObserverSettings(),
        bus=bus,
        clock=SystemClock(),
        store=store,
        files=ObjectStore(f"file://{folder}"),
        new_id=SeededIds(0),
    )
    await app.start()
    bus.consume(app.topics, app.handle, max_records=max_records)
    looking = asyncio.ensure_future(look(store)) if looks else None
    began, cpu = time.perf_counter(), time.process_time()
    await bus.start()
    await flow.wait_until_idle()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if looking is not None:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    await bus.stop()
    (row,) = await store.query("SELECT count() AS n FROM invocations FINAL")
    await store.close()
    return Sunk(seconds, cpu, row["n"])


async def measure(options: SinkOptions) -> dict[str, object]:
    lines = make_values(options.events)
    fetched, sunk = list[float](), list[float]()
    ratios, cpu_ratios = list[float](), list[float]()
    async with EmbeddedBroker() as broker:
        bus = KafkaBus(broker.settings, "setup")
        await bus.start()
        await bus.stop()
        await publish_events(broker.bootstrap, lines)
        for _ in range(options.rounds):
            fetched.append(options.events / await measure_fetch(broker.bootstrap, options.events))
            closed = await measure_round(broker, options)
            sunk.append(options.events / closed.wall)
            print(f"fetch {fetched[-1]:9,.0f}/s   sink {sunk[-1]:9,.0f}/s")
            if options.console:
                opened = await measure_round(broker, options, looks=True)
                ratios.append(closed.wall / opened.wall)
                cpu_ratios.append(closed.cpu / opened.cpu)
                print(f"with the console open {options.events / opened.wall:9,.0f}/s")
    return {
        "events": options.events,
        "bytes_per_event": round(statistics.mean(map(len, lines))),
        "max_records": options.max_records,
        "raw_fetch_per_second": round(statistics.median(fetched)),
        "sink_events_per_second": round(statistics.median(sunk)),
        "rounds": [round(rate) for rate in sunk],
        **({"open_to_closed": summarise(ratios), "cpu_closed_to_open": summarise(cpu_ratios)} if ratios else {}),
    }


async def measure_round(broker: EmbeddedBroker, options: SinkOptions, *, looks: bool = False) -> Sunk:
    """Store all events in a new store."""
    with tempfile.TemporaryDirectory() as folder:
        sunk = await measure_sink(broker, Path(folder), options.events, options.max_records, looks=looks)
    if sunk.rows != options.events:
        raise SystemExit(f"{sunk.rows} rows of {options.events} events")
    return sunk


def summarise(ratios: list[float]) -> dict[str, float]:
    return {name: round(pick(ratios), 3) for name, pick in (("median", statistics.median), ("least", min))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-records", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--console", action="store_true")
    options = SinkOptions(**vars(parser.parse_args()))
    profiler = cProfile.Profile()
    if options.profile:
        profiler.enable()
    result = asyncio.run(measure(options))
    if options.profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
