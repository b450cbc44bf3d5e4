"""Open-loop load: requests leave by a timetable, whether or not those before have been answered.

As a program, `python -m bench.proxies.open_loop URL PER_SECOND SECONDS`, it prints one JSON object. A request's latency
runs from the moment it was due, so a server that stalls is charged for all who would have waited (no coordinated
omission), and so is the generator itself: its own lateness is told beside it, and belongs to every server alike.

With `--tasks FIRST,SECOND --ids FILE` no two requests are the same, the tasks take turns, and the file has a line for
each request that a router answered: its id, and who served it.
"""

import argparse
import asyncio
import gc
import json
import selectors
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools
from bench.proxies.payloads import DISTINCT_REQUESTS, make_distinct_request
from bench.proxies.payloads import make_request as asked_for
from bench.proxies.process import ROOT

_MAX_CONNECTIONS = 512
"""Beyond so many, requests wait for a connection, and their time counts: more than a client's pool has."""


@dataclass(frozen=True)
class OpenLoopResult:
    """Latencies in milliseconds from the moment each request was due; `late_p99_ms` is the generator's own part."""

    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float


def run_open_loop(url: str, per_second: int, seconds: int) -> OpenLoopResult:
    """Measured in a process of its own."""
    command = [sys.executable, "-m", "bench.proxies.open_loop", url, str(per_second), str(seconds)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return OpenLoopResult(**json.loads(output))


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._due: float | None = None
        self._id = self._served_by = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._run.failed()
        else:
            self._run.closed(self)

    def ask(self, due: float, request: bytes) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"x-understudies-invocation":
            self._id = value
        elif name == b"x-understudies-served-by":
            self._served_by = value

    def on_message_complete(self) -> None:
        due, self._due = self._due, None
        assert due is not None
        self._run.ids.append((self._id, self._served_by))
        self._run.answered(self, due, self._parser.get_status_code())

    def close(self) -> None:
        self._transport.close()


class _Run:
    def __init__(self, url: str, per_second: int, seconds: int, make_post: Callable[[int], bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self._host, self._port = url.removeprefix("http://").split(":")
        self._gap = 1 / per_second
        self._count = per_second * seconds
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._errors = 0
        self._over = self._loop.create_future()
        self._make_post = make_post
        self._open = 8
        self.ids: list[tuple[bytes, bytes]] = []

    async def result(self) -> dict[str, float]:
        for _ in range(self._open):
            self._idle.append(await self._open_connection())
        self._begin = self._loop.time() + 0.1
        self._loop.call_at(self._begin, self._tick, 0)
        await self._over
        for connection in self._idle:
            connection.close()
        cuts = statistics.quantiles(self._latencies, n=100)
        return {
            "requests": len(self._latencies),
            "errors": self._errors,
            "p50_ms": round(cuts[49] * 1e3, 3),
            "p99_ms": round(cuts[98] * 1e3, 3),
            "max_ms": round(max(self._latencies) * 1e3, 3),
            "late_p99_ms": round(statistics.quantiles(self._late, n=100)[98] * 1e3, 3),
        }

    def _tick(self, number: int) -> None:
        """Send all that is due, and wait for the next."""
        now = self._loop.time()
        while number < self._count and (due := self._begin + number * self._gap) <= now:
            self._late.append(self._loop.time() - due)
            post = self._make_post(number)
            if self._idle:
                self._idle.pop().ask(due, post)
            elif self._open >= _MAX_CONNECTIONS:
                self._waiting.append((due, post))
            else:
                self._open += 1
                task = self._loop.create_task(self._ask_on_new_connection(due, post))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            number += 1
        if number < self._count:
            self._loop.call_at(self._begin + number * self._gap, self._tick, number)

    async def _ask_on_new_connection(self, due: float, request: bytes) -> None:
        try:
            connection = await self._open_connection()
        except OSError:
            self.failed()
        else:
            connection.ask(due, request)

    async def _open_connection(self) -> _Connection:
        _, connection = await self._loop.create_connection(lambda: _Connection(self), self._host, int(self._port))
        return connection

    def closed(self, connection: _Connection) -> None:
        """A server closes what was not used for a while: nothing may be sent there any more."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def answered(self, connection: _Connection, due: float, status: int) -> None:
        self._latencies.append(self._loop.time() - due)
        self._errors += status != 200
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._idle.append(connection)
        self._finish_if_done()

    def failed(self) -> None:
        self._open -= 1
        self._latencies.append(60.0)
        self._errors += 1
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if len(self._latencies) == self._count:
            self._over.set_result(None)


def _encode_post(body: bytes, task: str | None = None) -> bytes:
    named = b"" if task is None else b"x-understudies-task: %b\r\n" % task.encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n%b"
        b"authorization: Bearer sk-bench\r\ncontent-length: %d\r\n\r\n%b" % (named, len(body), body)
    )


def _same_posts() -> Callable[[int], bytes]:
    posts = [_encode_post(asked_for(number).encode()) for number in range(DISTINCT_REQUESTS)]
    return lambda number: posts[number % DISTINCT_REQUESTS]


def _distinct_posts(tasks: Sequence[str]) -> Callable[[int], bytes]:
    return lambda number: _encode_post(make_distinct_request(number).encode(), tasks[number % len(tasks)])


async def _main(given: argparse.Namespace) -> None:
    gc.freeze()
    gc.disable()
    run = _Run(
        given.url, given.per_second, given.seconds, _distinct_posts(given.tasks) if given.tasks else _same_posts()
    )
    print(json.dumps(await run.result()))
    if given.ids is not None:
        given.ids.write_bytes(b"".join(b"%b %b\n" % one for one in run.ids))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("per_second", type=int)
    parser.add_argument("seconds", type=int)
    parser.add_argument("--tasks", type=lambda text: text.split(","), help="names, comma-separated")
    parser.add_argument("--ids", type=Path, help="file to write the answered calls to")
    # Of all selectors only select() waits for less than a millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_main(parser.parse_args()))
