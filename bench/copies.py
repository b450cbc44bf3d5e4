"""Evaluator and budget in one copy and in several: the CPU of a call, and the rate at which a backlog is read.

    python -m bench.copies                             60,000 calls of 24 tasks, by one copy of each service and by four
    python -m bench.copies --copies 1,2 --calls 20000

The copies are processes that share a data folder, against Apache Kafka, with a student on trial for each of the tasks.
They run before the first call, so that no start is in the figures, and all calls are published at once. CPU is that of
the kernel's accounts, summed over a service's copies, until saved state covers all calls and verdicts: with the cores
shared it tells what the rate on cores of their own would be. The last line is one JSON object. It needs
UNDERSTUDIES_TEST_KAFKA_LIBS and Java.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxies.process import process_cpu_s, process_tree
from tests.support.copies import SERVICES, check_books, open_copies
from tests.support.kafka_server import KafkaServer

from understudies.events import INVOCATIONS, VERDICTS

_SECONDS = 900


def _cpu_s(service: str) -> list[float]:
    """Return the CPU of each running copy of a service, those of this process alone."""
    words = [(pid, Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")) for pid in process_tree(os.getpid())[1:]]
    return [process_cpu_s(pid) for pid, said in words if b"understudies.cli" in said and service.encode() in said]


async def _measure_copies(copies_each: int, options: argparse.Namespace) -> dict[str, Any]:
    rng = Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="understudies-copies-") as name:
        async with KafkaServer(heap_mb=512) as kafka:
            opened = open_copies(Path(name), kafka.bootstrap, tasks=options.tasks, copies=copies_each)
            async with opened as copies:
                # What a first batch loads, such as the students, is no part of the figures.
                await copies.publish_calls(5, rng)
                await copies.wait_verdicts(seconds=_SECONDS)
                await copies.wait_handled("budget", VERDICTS, seconds=_SECONDS)
                before = {service: _cpu_s(service) for service in SERVICES}
                began, first = time.monotonic(), len(copies.published)
                await copies.publish_calls(options.calls // options.tasks, rng)
                await copies.wait_handled("evaluator", INVOCATIONS, seconds=_SECONDS)
                await copies.wait_handled("budget", INVOCATIONS, seconds=_SECONDS)
                await copies.wait_handled("budget", VERDICTS, seconds=_SECONDS)
                seconds = time.monotonic() - began
                cpu = {service: sum(_cpu_s(service)) - sum(before[service]) for service in SERVICES}
                await copies.stop()
                check_books(copies)
                calls = len(copies.published) - first
    return {
        "copies": copies_each,
        "calls": calls,
        "wall_s": round(seconds, 1),
        "cpu_us_per_call": {service: round(1e6 * used / calls) for service, used in cpu.items()},
        "calls_per_cpu_s": {service: round(calls / used) for service, used in cpu.items()},
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures for each number of copies."""
    found: list[dict[str, Any]] = []
    for copies_each in map(int, options.copies.split(",")):
        found.append(await _measure_copies(copies_each, options))
        print(json.dumps(found[-1]), flush=True)
    return {"bench": "copies", "tasks": options.tasks, "runs": found}


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", default="1,4", help="numbers of copies of each service, by commas (1,4)")
    parser.add_argument("--calls", type=int, default=60_000)
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
