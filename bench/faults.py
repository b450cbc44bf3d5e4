"""Inject faults at random for as long as one likes, and count what they cost.

    python bench/faults.py --rounds 100 --seed 1 --only evaluator_killed broker_killed
    python bench/faults.py --brokers 3 --rounds 30

Five services over Apache Kafka, ClickHouse's engine and Redis, agents at work. Each round injects one fault at a random
point and compares the history with what is held, event by event; a violation ends the run with the seed that shows it.
With three brokers the faults are those of a cluster whose brokers are lost, and kills of services.
The last line is one JSON object: rounds by fault, calls, and kills of routers. It needs
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
from tests.support.faults import CLUSTER_FAULTS, FAULTS, run_fault
from tests.support.kafka_cluster import KafkaCluster

_ON_ANY = ("all_killed", "rebalance", "router_killed", "observer_killed", "budget_killed", "evaluator_killed")
_ON_THREE = (*CLUSTER_FAULTS, *_ON_ANY)


async def measure(rounds: int, seed: int, only: list[str], brokers: int) -> dict[str, object]:
    """Run the rounds; raises AssertionError, with the differences, at the first violation."""
    done: Counter[str] = Counter()
    seconds: list[float] = []
    with tempfile.TemporaryDirectory(prefix="understudies-faults-") as folder:
        cluster = KafkaCluster() if brokers > 1 else None
        async with open_deployment(Path(folder) / "deployment", cluster) as deployment:
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
                "brokers": brokers,
                "seed": seed,
                "rounds": dict(done),
                "calls": len(history.answered),
                "sdk_events": len(history.published),
                "unanswered": history.unanswered,
                "router_kills": history.router_kills,
                "seconds": round(sum(seconds)),
            }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--only", nargs="+", choices=[*FAULTS, *CLUSTER_FAULTS])
    given = parser.parse_args()
    possible = list(FAULTS) if given.brokers == 1 else list(_ON_THREE)
    if unknown := set(given.only or ()) - set(possible):
        parser.error(f"not with {given.brokers} brokers: {', '.join(sorted(unknown))}")
    print(json.dumps(asyncio.run(measure(given.rounds, given.seed, given.only or possible, given.brokers))))


if __name__ == "__main__":
    main()
