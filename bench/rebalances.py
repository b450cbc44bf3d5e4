"""Copies of evaluator and budget come and go under load: is a verdict lost, or counted twice?

    python -m bench.rebalances                         20 changes of each service's group, 4 copies of each
    python -m bench.rebalances --changes 40 --seed 2

The copies are processes that share a data folder, against Apache Kafka, with a student on trial for each of the tasks.
While calls come in, a copy of either service is killed with kill -9, ended with SIGTERM, stopped for longer than the
group waits for it, or joined by another one, at random. Afterwards every call must have one verdict, and the state of
the budget must have counted every call and every verdict once. The last line is one JSON object. It needs
UNDERSTUDIES_TEST_KAFKA_LIBS and Java.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.copies import SERVICES, Copies, check_books, open_copies, repeated
from tests.support.kafka_server import KafkaServer

from understudies.events import INVOCATIONS, VERDICTS
from understudies.testing.service_process import ServiceProcess

_SILENCE_S: Final = 14.0
"""Longer than the ten seconds after which a group gives up a silent member."""
KINDS: Final = ("killed", "ended", "silent", "joined")


async def change(copies: Copies, service: str, kind: str, rng: Random, most: int) -> None:
    """Change a group once, and bring it back to so many copies."""
    running = [one for one in copies.processes[service] if one.is_running]
    if kind == "joined":
        await copies.start(service)
        running = [one for one in copies.processes[service] if one.is_running]
    chosen = rng.choice(running)
    if kind == "killed":
        await chosen.kill()
    elif kind == "silent":
        chosen.signal(signal.SIGSTOP)
        await asyncio.sleep(_SILENCE_S)
        chosen.signal(signal.SIGCONT)
        return
    else:
        await chosen.terminate()
    for _ in range(most - sum(one.is_running for one in copies.processes[service])):
        await copies.start(service)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was counted."""
    rng = Random(options.seed)
    result: dict[str, Any] = {"bench": "rebalances", "copies": options.copies, "tasks": options.tasks}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="understudies-rebalances-") as name:
        async with KafkaServer() as kafka:
            opened = open_copies(Path(name), kafka.bootstrap, tasks=options.tasks, copies=options.copies)
            async with opened as copies:
                done: Counter[str] = Counter()
                async with copies.traffic(options.calls_per_s, rng):
                    for number in range(options.changes):
                        for service in SERVICES:
                            kind = KINDS[number % len(KINDS)]
                            await change(copies, service, kind, rng, options.copies)
                            done[f"{service} {kind}"] += 1
                        at = time.monotonic() - began
                        print(f"{at:.0f} s: {number + 1} changes, {len(copies.published)} calls", flush=True)
                again = repeated(await copies.wait_verdicts(seconds=300))
                await copies.wait_handled("budget", INVOCATIONS, seconds=300)
                await copies.wait_handled("budget", VERDICTS, seconds=300)
                await copies.stop()
                check_books(copies)
                moves = sum(_moves(one) for service in SERVICES for one in copies.processes[service])
                result |= {"changes": dict(done), "calls": len(copies.published), "published_again": again}
    return result | {"partitions_taken_over": moves, "lost": 0, "counted_twice": 0, "holds": True}


def _moves(process: ServiceProcess) -> int:
    return process.output.count(" owns partition ")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=20, help="of each service's group (20)")
    parser.add_argument("--copies", type=int, default=4, help="of each service (4)")
    parser.add_argument("--tasks", type=int, default=24)
    parser.add_argument("--calls-per-s", type=float, default=100)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
