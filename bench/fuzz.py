"""Feed every reader of others' input a million mutated inputs: no crash, no hang, no memory that grows.

Run `make fuzz`, or `python -m bench.fuzz --inputs 10000 --target events`. A fault is printed with its target and seed,
with which `--target NAME --seed N --inputs 1` shows it again. The last line is one JSON object; the exit status is 1
after a fault.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Final

from tests.support.fuzzing import Target, targets

_SLOW_S: Final = 5.0
"""CPU time after which one input counts as a hang: the largest are some kilobytes."""
_MAX_GROWTH_MB: Final = 100.0
_SHOWN: Final = 5


def resident_mb() -> float:
    """Return the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def fuzz(name: str, target: Target, inputs: int, seed: int) -> dict[str, Any]:
    """Read inputs of one target; returns counts, the slowest input and the growth of memory."""
    faults, slowest = 0, 0.0
    began = time.process_time()
    warm = resident_mb()
    for number in range(seed, seed + inputs):
        given = target.make(random.Random(number))
        start = time.process_time()
        try:
            target.read(given)
        except Exception:  # noqa: BLE001 - any error that a reader does not document is a fault
            faults += 1
            if faults <= _SHOWN:
                print(f"FAULT {name!r} seed {number}\n{traceback.format_exc()}", flush=True)
        took = time.process_time() - start
        if took > _SLOW_S:
            faults += 1
            print(f"FAULT {name!r} seed {number} took {took:.1f} s", flush=True)
        slowest = max(slowest, took)
        if number - seed == inputs // 10:
            warm = resident_mb()
    growth = resident_mb() - warm
    if growth > _MAX_GROWTH_MB:
        faults += 1
        print(f"FAULT {name!r}: memory grew by {growth:.0f} MB", flush=True)
    cpu = time.process_time() - began
    found = {"inputs": inputs, "faults": faults, "slowest_ms": round(slowest * 1e3, 1), "grew_mb": round(growth, 1)}
    print(f"{name:20} {found} {inputs / max(cpu, 1e-9):,.0f}/s", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs of all targets together (1,000,000)")
    parser.add_argument("--target", help="one target alone")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chosen = {n: one for n, one in targets(Path(folder)).items() if asked.target in (None, n)}
        if not chosen:
            parser.error(f"no target {asked.target!r}; there are {', '.join(targets(Path(folder)))}")
        each = -(-asked.inputs // len(chosen))
        found = {name: fuzz(name, target, each, asked.seed) for name, target in chosen.items()}
    faults = sum(one["faults"] for one in found.values())
    print(json.dumps({"inputs": each * len(found), "faults": faults, "targets": found}))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
