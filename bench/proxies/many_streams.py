"""Many streams at once: connections that ask for one stream after the other, and the delay of each first piece.

As a program, `python -m bench.proxies.many_streams URL AT_ONCE SECONDS TOKENS GAP_MS`, it prints one JSON object. The
server, or the teacher behind it, is `bench.proxies.streaming` with the same tokens and gap. Connections begin spread
over the length of one stream, so that streams begin and end at all times; the delays in this time are not counted.
"""

import argparse
import asyncio
import gc
import itertools
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import httptools
import uvloop
from bench.proxies.payloads import DISTINCT_REQUESTS
from bench.proxies.process import ROOT
from bench.proxies.streaming import StreamClient, make_events, make_stream_request

_PATIENCE_S = 30.0
"""A stream that takes so much longer than the teacher's is broken."""


@dataclass(frozen=True)
class ManyStreamsResult:
    """Delays of first pieces in milliseconds; `load_cores` is what the load itself took of a core."""

    completed: int
    broken: int
    reason: str
    p50_ms: float
    p99_ms: float
    max_ms: float
    load_cores: float


def run_many_streams(url: str, at_once: int, seconds: float, tokens: int, gap_ms: float) -> ManyStreamsResult:
    """Measured in a process of its own."""
    command = [sys.executable, "-m", "bench.proxies.many_streams", url]
    command += [str(one) for one in (at_once, seconds, tokens, gap_ms)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return ManyStreamsResult(**json.loads(output))


class _Run:
    def __init__(self, given: argparse.Namespace) -> None:
        self._host, self._port = given.url.removeprefix("http://").split(":")
        self._at_once = given.at_once
        self._length = given.tokens * given.gap_ms / 1e3
        self._seconds = given.seconds
        self._requests = itertools.cycle([make_stream_request(number) for number in range(DISTINCT_REQUESTS)])
        self._expected = b"".join(make_events(given.tokens))
        self._delays: list[float] = []
        self._completed = 0
        self._reasons: list[str] = []

    async def result(self) -> dict[str, float | str]:
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for number in range(self._at_once):
                group.create_task(self._keep_asking(began, number / self._at_once * self._length))
        cores = (time.process_time() - cpu) / (time.perf_counter() - began)
        if len(self._delays) < 2:
            raise SystemExit(f"no streams: {self._completed} were completed, {self._reasons[:1]}")
        cuts = statistics.quantiles(self._delays, n=100, method="inclusive")
        return {
            "completed": self._completed,
            "broken": len(self._reasons),
            "reason": self._reasons[0] if self._reasons else "",
            "p50_ms": round(cuts[49], 3),
            "p99_ms": round(cuts[98], 3),
            "max_ms": round(max(self._delays), 3),
            "load_cores": round(cores, 3),
        }

    async def _keep_asking(self, began: float, after: float) -> None:
        """Ask until the time is over, on a new connection where a stream broke; who cannot connect ends the run."""
        await asyncio.sleep(after)
        stream = await self._connect()
        while (now := time.perf_counter() - began) < self._length + self._seconds:
            try:
                async with asyncio.timeout(self._length + _PATIENCE_S):
                    first, _, body = await stream.ask(next(self._requests))
                if body != self._expected:
                    raise RuntimeError(f"not the teacher's bytes: {body[-300:]!r}")
            except (OSError, RuntimeError, httptools.HttpParserError) as error:
                self._reasons.append(f"{type(error).__name__}: {error}")
                stream.close()
                stream = await self._connect()
                continue
            self._completed += 1
            if now >= self._length:
                self._delays.append(first)
        stream.close()

    async def _connect(self) -> StreamClient:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(StreamClient, self._host, int(self._port))
        return stream


async def _main(given: argparse.Namespace) -> None:
    gc.freeze()
    gc.disable()
    print(json.dumps(await _Run(given).result()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("at_once", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("tokens", type=int)
    parser.add_argument("gap_ms", type=float)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(parser.parse_args()))
