"""The bus goes away for a minute under load: what callers feel, what it costs, and what is on the topic afterwards.

    python bench/outage.py --states refused,reset,silent,mute --seconds 60 --per-second 300

The router runs as its users start it, before an upstream that answers at once, and reaches its broker over a line that
is cut: nobody listens, whoever connects is reset, nothing comes through, or what is sent arrives and no answer comes
back. Callers take turns by task, so the order within a task is known. With --bootstrap a broker is used that is there
already, which has to advertise the address of --line. The last line is one JSON object; times in milliseconds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxies.nginx import start_instant_upstream
from tests.support.outage import (
    CallResponse,
    ReceivedEvents,
    SteadyTraffic,
    read_received_events,
    router_command,
    spool_size,
    wait_readiness,
    wait_router_url,
)
from tests.support.tansu_broker import TansuBroker
from tests.support.tcp_proxy import ProxyState, TcpProxy

STATES: Sequence[ProxyState] = ("refused", "reset", "silent", "mute")
WARM_UP_S = 10.0


@dataclass
class PeakUsage:
    """The largest values of what grows while the bus is away."""

    rss_mb: list[float] = field(default_factory=list)
    spool_mb: float = 0.0

    async def watch(self, pid: int, data: Path) -> None:
        """Look twice a second, for ever."""
        while True:
            self.rss_mb.append(_rss_mb(pid))
            self.spool_mb = max(self.spool_mb, spool_size(data) / 1e6)
            await asyncio.sleep(0.5)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.asynccontextmanager
async def open_proxy(options: argparse.Namespace) -> AsyncIterator[TcpProxy]:
    """A line to a fresh broker, or to the one that is given."""
    async with TcpProxy(port=options.line) as proxy:
        if options.bootstrap:
            proxy.target = options.bootstrap
            yield proxy
            return
        broker = TansuBroker(advertised=proxy.address)
        proxy.target = broker.bootstrap
        async with broker:
            yield proxy


async def measure_outage(state: ProxyState, upstream: str, options: argparse.Namespace) -> dict[str, Any]:
    """One outage in the middle of load."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        async with open_proxy(options) as proxy:
            env = {
                "UNDERSTUDIES_BUS_REPLICATION_FACTOR": "1",
                "UNDERSTUDIES_BUS_IDEMPOTENT": str(options.idempotent),
            }
            async with router_command(data, f"{upstream}/v1", proxy.address, env=env) as running:
                url = await wait_router_url(running)
                peaks = PeakUsage()
                watching = asyncio.create_task(peaks.watch(running.process.pid, data))
                async with SteadyTraffic(url, per_second=options.per_second).running() as traffic:
                    await asyncio.sleep(WARM_UP_S)
                    cut = time.time()
                    await proxy.set_state(state)
                    await asyncio.sleep(options.seconds)
                    mended = time.time()
                    await proxy.set_state("open")
                    await wait_readiness(url, lambda facts: not facts["bus_away"] and spool_size(data) == 0)
                    back = time.time()
                    await asyncio.sleep(WARM_UP_S)
                watching.cancel()
                facts = await wait_readiness(url, lambda facts: not facts["events_waiting"])
                code = await running.terminate()
            found = await read_received_events(proxy.address)
    return _figures(traffic, found, peaks, cut, mended, back) | {
        "exit_code": code,
        "events_dropped": facts["events_lost"],
    }


def _figures(
    traffic: SteadyTraffic, found: ReceivedEvents, peaks: PeakUsage, cut: float, mended: float, back: float
) -> dict[str, Any]:
    answered = {id_ for ids in traffic.ids.values() for id_ in ids}
    there = {id_ for ids in found.ids.values() for id_ in ids}
    return {
        "answered": len(traffic.answers),
        "failed": len(traffic.errors),
        "before": _latency([one for one in traffic.answers if one.started_at < cut]),
        "away": _latency([one for one in traffic.answers if cut <= one.started_at < mended]),
        "replay": _latency([one for one in traffic.answers if mended <= one.started_at < back]),
        "after": _latency([one for one in traffic.answers if one.started_at >= back]),
        "recovered_s": round(back - mended, 2),
        "spool_peak_mb": round(peaks.spool_mb, 2),
        "rss_mb": {"start": round(peaks.rss_mb[0], 1), "peak": round(max(peaks.rss_mb), 1)},
        "lost": len(answered - there),
        "doubled": found.duplicates,
        "tasks_in_order": sum(found.first_occurrences[task] == ids for task, ids in traffic.ids.items()),
        "tasks": len(traffic.ids),
    }


def _latency(answers: Sequence[CallResponse]) -> dict[str, float]:
    if len(answers) < 2:
        return {"calls": len(answers)}
    cuts = statistics.quantiles([one.seconds * 1e3 for one in answers], n=100)
    return {
        "calls": len(answers),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
        "max_ms": round(max(one.seconds for one in answers) * 1e3, 1),
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All outages, one after the other."""
    figures: dict[str, Any] = {"seconds": options.seconds, "per_second": options.per_second}
    with tempfile.TemporaryDirectory() as folder:
        upstream = start_instant_upstream(Path(folder))
        try:
            for state in options.states.split(","):
                figures[state] = await measure_outage(state, upstream.url, options)
                print(state, json.dumps(figures[state]), flush=True)
        finally:
            upstream.stop()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", default=",".join(STATES), help="which outages, comma-separated")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of an outage")
    parser.add_argument("--per-second", type=float, default=300.0)
    parser.add_argument("--bootstrap", help="HOST:PORT of a broker that is there; its topics have to be fresh")
    parser.add_argument("--idempotent", action="store_true", help="publish so that nothing comes twice; Kafka alone")
    parser.add_argument("--line", type=int, default=0, help="port of the line, which that broker advertises")
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
