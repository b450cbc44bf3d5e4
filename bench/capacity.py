"""Compute what a rate of calls takes, from the CPU of one call as `bench/load.py` measured it.

Pure arithmetic and one small simulation: `python bench/load.py --plan 10000` prints it. A core is planned to be used by
`USE`, so that a restart catches up and a peak passes. Observer, evaluator and budget have one working process each
(docs/decisions/022), so one core of the dearest of them bounds an installation; more calls take several
installations, each with tasks of its own.
"""

import math
import random
from dataclasses import asdict, dataclass
from typing import Any, Final

USE: Final = 0.6
OWNERS: Final = ("observer", "evaluator", "budget")
COST_US: Final[dict[str, float]] = {
    "router": 372,
    "router's worker": 151,
    "kafka": 122,
    "clickhouse": 141,
    "budget": 180,
    "evaluator": 156,
    "observer": 37,
    "redis": 18,
}
"""µs of CPU an event at 1,000 events/s for ten minutes, in bench/README.md."""
EVENT_BYTES: Final = 1_240
"""An event of 0.5 kB of request and answer on its topic, with key and headers, not compressed."""
STORED_BYTES: Final = 120
KAFKA_DAYS: Final = 7
REPLICAS: Final = 3
PARTITION_BYTES_PER_S: Final = 5_000_000
"""What one partition is planned to take; its broker writes it and two others copy it."""
USD_PER_CORE_HOUR: Final = 0.04
USD_PER_GB_MONTH: Final = 0.08
_HOURS_PER_MONTH: Final = 730


@dataclass(frozen=True)
class Backlog:
    """An hour of traffic before one process, second by second: the largest backlog, and how long it takes to read."""

    peak_events: int
    longest_delay_s: float


def simulate_backlog(per_second: float, cost_us: float, *, peak: float, restart_s: float, seed: int = 1) -> Backlog:
    """Simulate an hour with ten minutes of `peak` times the rate, and a restart of `restart_s` in the middle of them.

    Arrivals are Poisson's, by their normal limit; the process reads what its core allows.
    """
    draw = random.Random(seed)
    capacity = 1e6 / cost_us
    backlog = highest = 0.0
    for second in range(3600):
        rate = per_second * (peak if 1200 <= second < 1800 else 1.0)
        backlog += max(0.0, draw.gauss(rate, math.sqrt(rate)))
        if not 1500 <= second < 1500 + restart_s:
            backlog = max(0.0, backlog - capacity)
        highest = max(highest, backlog)
    return Backlog(round(highest), round(highest / capacity, 1))


def plan(per_second: int) -> dict[str, Any]:
    """Return installations, processes, cores, partitions, disks and their monthly price for a rate of calls."""
    dearest = max(OWNERS, key=COST_US.__getitem__)
    installations = math.ceil(per_second * COST_US[dearest] / 1e6 / USE)
    each = per_second / installations
    cores = {name: round(per_second * cost / 1e6 / USE, 1) for name, cost in COST_US.items()}
    replicated = cores["kafka"] * REPLICAS
    kafka_gb = per_second * EVENT_BYTES * 86_400 * KAFKA_DAYS * REPLICAS / 1e9
    store_gb_a_month = per_second * STORED_BYTES * 86_400 * 30 / 1e9
    all_cores = sum(cores.values()) - cores["kafka"] + replicated
    return {
        "calls_per_second": per_second,
        "installations": installations,
        "bounded_by": dearest,
        "router_workers": math.ceil(per_second * COST_US["router"] / 1e6 / USE),
        "partitions_of_invocations": installations * max(6, math.ceil(each * EVENT_BYTES / PARTITION_BYTES_PER_S)),
        "brokers": 3 * installations,
        "cores": {**cores, "kafka": round(replicated, 1)},
        "cores_in_all": round(all_cores),
        "kafka_gb": round(kafka_gb),
        "store_gb_a_month": round(store_gb_a_month),
        "usd_a_month": {
            "cores": round(all_cores * _HOURS_PER_MONTH * USD_PER_CORE_HOUR),
            "kafka_disks": round(kafka_gb * USD_PER_GB_MONTH),
            "store_disks_each_month": round(store_gb_a_month * USD_PER_GB_MONTH),
        },
        "owner_with_a_peak_of_1.5_and_a_restart_of_10_s": {
            name: asdict(simulate_backlog(each, COST_US[name], peak=1.5, restart_s=10)) for name in OWNERS
        },
    }
