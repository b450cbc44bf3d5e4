"""A teacher that streams, and the time until a stream's first piece and its last.

As a program it is the teacher: `python -m bench.proxies.streaming PORT [--tokens 9] [--gap-ms 2] [--jitter 0]`. It
sends the first event with the headers, at once, and then one event after each gap, which differs by up to the share
`--jitter`.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import random
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvloop
from bench.proxies.payloads import ANSWER, make_chunk
from bench.proxies.payloads import make_request as asked_for

_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER.encode(),
)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_TOKENS = re.findall(
    r" ?\w+|[.,]",
    "Your new card was sent on Monday and should be with you within five working days. If it has not come by then, "
    "please tell us in the app under Cards, and we will block it and send another one free of charge.",
)


def make_events(tokens: int) -> list[bytes]:
    """What the teacher sends, one event for each token and two at the end."""
    events = [make_chunk(_TOKENS[number % len(_TOKENS)]) for number in range(tokens)]
    return [*events, make_chunk("", "stop"), b"data: [DONE]\n\n"]


def make_stream_request(number: int) -> bytes:
    """One of the requests, for a stream, as it goes over the wire."""
    body = json.dumps({**json.loads(asked_for(number)), "stream": True}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer sk-bench\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


class _StreamingTeacher(asyncio.Protocol):
    def __init__(self, writes: Sequence[bytes], gap_s: float, jitter: float) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._body = b""
        self._writes = writes
        self._shortest, self._longest = gap_s * (1 - jitter), gap_s * (1 + jitter)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        asked, self._body = self._body, b""
        if asked and json.loads(asked).get("stream"):
            self._send(0)
        else:
            self._transport.write(_WHOLE)

    def _send(self, number: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._writes[number])
        if number + 1 < len(self._writes):
            gap_s = random.uniform(self._shortest, self._longest)
            asyncio.get_running_loop().call_later(gap_s, self._send, number + 1)


def _encode_writes(tokens: int) -> list[bytes]:
    """The teacher's writes to a socket: the head with the first event, and at last the two ends with the end of all."""
    first, *between, stop, done = [b"%x\r\n%b\r\n" % (len(event), event) for event in make_events(tokens)]
    return [_HEAD + first, *between, stop + done + b"0\r\n\r\n"]


class StreamClient(asyncio.Protocol):
    """One connection that asks for streams and keeps the time."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._done: asyncio.Future[None] | None = None
        self.first = 0.0
        self.pieces: list[bytes] = []
        self.status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("hung up in the middle of a stream"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self.pieces:
            self.first = time.perf_counter()
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def ask(self, request: bytes) -> tuple[float, float, bytes]:
        """Milliseconds to the first piece and to the end, and the body."""
        if self._transport.is_closing():
            raise ConnectionError("hung up between two streams")
        self.pieces = []
        self._done = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(request)
        await self._done
        ended = time.perf_counter()
        if self.status != 200:
            raise RuntimeError(f"a stream was answered {self.status}: {b''.join(self.pieces)[:300]!r}")
        return (self.first - began) * 1e3, (ended - began) * 1e3, b"".join(self.pieces)

    def close(self) -> None:
        self._transport.close()


@dataclass
class StreamTimings:
    """Milliseconds to the first piece and to the end of each stream."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.first)

    @property
    def whole_p50(self) -> float:
        return statistics.median(self.whole)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.first, n=100)[98]


async def time_streams(urls: dict[str, str], streams: int) -> tuple[dict[str, StreamTimings], dict[str, bool]]:
    """The times at each of the servers, which take turns, and whether its stream is the first one's to the byte."""
    loop = asyncio.get_running_loop()
    opened = {}
    for name, url in urls.items():
        host, port = url.removeprefix("http://").split(":")
        _, opened[name] = await loop.create_connection(StreamClient, host, int(port))
    request = make_stream_request(0)
    spans = {name: StreamTimings() for name in urls}
    same = dict.fromkeys(urls, True)
    gc.freeze()
    for number in range(streams + 20):
        expected = None
        for name, stream in opened.items():
            first, whole, answer = await stream.ask(request)
            expected = answer if expected is None else expected
            same[name] &= answer == expected
            if number >= 20:
                spans[name].first.append(first)
                spans[name].whole.append(whole)
    for stream in opened.values():
        stream.close()
    return spans, same


async def _serve(port: int, tokens: int, gap_s: float, jitter: float) -> None:
    writes = _encode_writes(tokens)
    server = await asyncio.get_running_loop().create_server(
        lambda: _StreamingTeacher(writes, gap_s, jitter), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--tokens", type=int, default=9)
    parser.add_argument("--gap-ms", type=float, default=2.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(given.port, given.tokens, given.gap_ms / 1e3, given.jitter))
