"""What a shadowed call costs over the bare one: instant teachers, 0.5 kB requests, a live broker behind.

`python bench/sdk.py [CALLS]`; the last line is one JSON object, times in microseconds.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.tansu_broker import TansuBroker

from understudies.client import Understudies

PAUSE = 0.001
LIMIT_US = 100.0
MESSAGES = [
    {"role": "system", "content": "Sort the ticket into one of: billing, shipping, returns, other. " * 4},
    {"role": "user", "content": "My parcel 4711 has not come yet and I paid for express delivery on 2026-03-01. " * 3},
]


def teacher(messages: list[dict[str, Any]], temperature: float = 1) -> str:
    """Answers at once."""
    return "shipping"


async def teacher_async(messages: list[dict[str, Any]], temperature: float = 1) -> str:
    """Answers at once."""
    return "shipping"


def time_calls(call: Callable[..., Any], calls: int, pause: float) -> list[float]:
    """Microseconds of each call; a pause between them lets the background work, as an agent's own waiting does."""
    taken = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        call(MESSAGES, temperature=0)
        taken.append((time.perf_counter_ns() - begun) / 1000)
        if pause:
            time.sleep(pause)
    return taken


async def time_async_calls(call: Callable[..., Awaitable[Any]], calls: int, pause: float) -> list[float]:
    """The same for a coroutine."""
    taken = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        await call(MESSAGES, temperature=0)
        taken.append((time.perf_counter_ns() - begun) / 1000)
        if pause:
            await asyncio.sleep(pause)
    return taken


def compute_figures(bare: list[float], shadowed: list[float]) -> dict[str, float]:
    """Percentiles, and what shadowing adds."""
    bare_p50, p50 = statistics.median(bare), statistics.median(shadowed)
    p99 = statistics.quantiles(shadowed, n=100)[98]
    found = {"bare_p50": bare_p50, "p50": p50, "p99": p99, "added_p50": p50 - bare_p50, "ratio_p50": p50 / bare_p50}
    return {name: round(value, 2) for name, value in found.items()}


async def measure(client: Understudies, calls: int) -> dict[str, Any]:
    """Sync and async, with pauses and flat out."""
    sync, coroutine = client.shadow(teacher, "bench"), client.shadow(teacher_async, "bench")
    found: dict[str, Any] = {}
    for name, pause in (("paced", PAUSE), ("flat_out", 0.0)):
        found[f"sync_{name}"] = compute_figures(time_calls(teacher, calls, pause), time_calls(sync, calls, pause))
        await asyncio.to_thread(client.flush, 60)
        found[f"async_{name}"] = compute_figures(
            await time_async_calls(teacher_async, calls, pause), await time_async_calls(coroutine, calls, pause)
        )
        await asyncio.to_thread(client.flush, 60)
    return found


async def main(calls: int) -> dict[str, Any]:
    """Measure against a broker of our own."""
    async with TansuBroker() as tansu, Understudies(tansu.bootstrap, max_buffer=100_000) as client:
        client.shadow(teacher)(MESSAGES)
        client.flush()
        begun = time.perf_counter()
        found = await measure(client, calls)
        seconds = time.perf_counter() - begun
        worst = max(case["added_p50"] for case in found.values())
        return {
            "bench": "sdk",
            "calls": 4 * calls,
            "request_bytes": len(json.dumps(MESSAGES)),
            "seconds": round(seconds, 1),
            "dropped": client.dropped,
            **found,
            "added_p50_us": worst,
            "limit_us": LIMIT_US,
            "headroom": round(LIMIT_US / worst, 1),
            "ok": worst <= LIMIT_US and client.dropped == 0,
        }


if __name__ == "__main__":
    outcome = asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000))
    for case, values in outcome.items():
        print(f"{case}: {values}")
    print(json.dumps(outcome))
