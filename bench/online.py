"""What the router's Redis pipeline saves beside redis-py's client, which sends each command by itself.

    python bench/online.py [--commands 20000] [--rounds 5]

The same script of a budget (`EVALSHA` of a reservation with two counters) from 1 and from 64 callers at a time, by
both in turns against one server, started here. CPU of this process and the time, per command. Needs redis-server.
The last line is one JSON object.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from redis.asyncio import BlockingConnectionPool, Redis
from tests.support.redis_server import RedisServer

from understudies.runtime.online.lua_scripts import RESERVE
from understudies.runtime.online.redis_pipeline import RedisPipeline, parse_redis_url

Execute = Callable[..., Awaitable[Any]]
_CALLERS = (1, 64)


def reservation(number: int) -> tuple[str | int, ...]:
    """The command that reserves a call's price in two counters; 64 holds at a time, each held anew."""
    hold, keys = f"hold-{number % 64}", ("understudies:{money}:a", "understudies:{money}:b")
    return ("EVALSHA", RESERVE.sha, 2, *keys, "bench", hold, 1000, 60_000, 3600, -1, 0, -1, 0)


async def measure(execute: Execute, callers: int, commands: int) -> tuple[float, float]:
    """CPU of this process and time per command, both in µs."""

    async def call(first: int) -> None:
        for number in range(first, commands, callers):
            await execute(*reservation(number))

    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(first) for first in range(callers)))
    return (time.process_time() - busy) / commands * 1e6, (time.perf_counter() - began) / commands * 1e6


async def compare(commands: int, rounds: int) -> dict[str, Any]:
    server = RedisServer()
    await server.start()
    try:
        connect, address = parse_redis_url(server.url)
        pipeline = RedisPipeline(connect, address, prologue=[("SCRIPT", "LOAD", RESERVE.text)], timeout_s=5.0)
        pool = BlockingConnectionPool.from_url(server.url, protocol=2, max_connections=max(_CALLERS))
        client = Redis(connection_pool=pool)
        await pipeline.check()
        figures: dict[str, Any] = {}
        for callers in _CALLERS:
            taken: dict[str, list[tuple[float, float]]] = {"pipeline": [], "redis-py": []}
            for _ in range(rounds):
                taken["pipeline"].append(await measure(pipeline.execute, callers, commands))
                taken["redis-py"].append(await measure(client.execute_command, callers, commands))
            ours, theirs = (tuple(map(statistics.median, zip(*taken[name], strict=True))) for name in taken)
            figures[f"{callers} callers"] = {
                "pipeline_cpu_us": round(ours[0], 1),
                "redis_py_cpu_us": round(theirs[0], 1),
                "cpu_ratio": round(theirs[0] / ours[0], 2),
                "time_ratio": round(theirs[1] / ours[1], 2),
            }
            print(f"{callers} callers: {figures[f'{callers} callers']}", file=sys.stderr)
        await pipeline.close()
        await client.aclose()
        return figures
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(compare(options.commands, options.rounds))))


if __name__ == "__main__":
    main()
