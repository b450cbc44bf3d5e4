"""Inject faults at random for as long as one likes, and count what they cost.

    python bench/faults.py --rounds 100 --seed 1 --only evaluator_killed broker_killed

Five services over Apache Kafka, ClickHouse's engine and Redis, agents at work. Each round injects one fault at a random
point and compares the history with what is held, event by event; a violation ends the run with the seed that shows it.
The last line is one JSON object: rounds by fault, calls, and calls that killed routers did not record. It needs
UNDERSTUDIES_TEST_KAFKA_LIBS, Java, redis-server, and root to mount small disks.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.deployment import open_deployment
from tests.support.faults import FAULTS, run_fault


async def measure(rounds: int, seed: int, only: list[str]) -> dict[str, object]:
    """Run the rounds; raises AssertionError, with the differences, at the first violation."""
    done: Counter[str] = Counter()
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="understudies-faults-") as folder:
        async with open_deployment(Path(folder) / "deployment") as deployment:
            for number in range(rounds):
                draw = Random(f"{seed}:{number}")
                # Every fault once before any comes again, in another order each time.
                turn = Random(f"{seed}:{number // len(only)}").sample(only, len(only))
                name = turn[number % len(only)]
                began = time.monotonic()
                try:
                    await run_fault(deployment, name, draw, least=5, most=80)
                except BaseException:
                    print(f"round {number} of seed {seed}: {name} failed")
                    raise
                done[name] += 1
                seconds.append(time.monotonic() - began)
                history = deployment.history
                print(f"{number:4} {name:20} {seconds[-1]:6.1f} s, {len(history.answered)} calls so far", flush=True)
            return {
                "bench": "faults",
                "seed": seed,
                "rounds": dict(done),
                "calls": len(history.answered),
                "sdk_events": len(history.published),
                "unanswered": history.unanswered,
                "lost_by_killed_routers": await deployment.lost(),
                "router_kills": len(history.router_kills),
                "seconds": round(sum(seconds)),
            }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.rounds, given.seed, given.only))))


if __name__ == "__main__":
    main()
