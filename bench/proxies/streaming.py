"""A teacher that streams, and the time until a stream's first piece and its last.

As a program it is the teacher: `python -m bench.proxies.streaming PORT`. It sends the first event with the headers, at
once, and then one event every 2 ms.
"""

import asyncio
import contextlib
import gc
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import httptools
from bench.proxies.payloads import ANSWER, make_chunk
from bench.proxies.payloads import make_request as asked_for

_EVENTS = 8
_GAP_S = 0.002
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER.encode(),
)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class _StreamingTeacher(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        asked, self._body = self._body, b""
        if not (asked and json.loads(asked).get("stream")):
            self._transport.write(_WHOLE)
            return
        self._transport.write(_HEAD + _encode_chunk(make_chunk("card")))
        asyncio.get_running_loop().call_later(_GAP_S, self._send_next, _EVENTS)

    def _send_next(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if left:
            self._transport.write(_encode_chunk(make_chunk("_arrival")))
            asyncio.get_running_loop().call_later(_GAP_S, self._send_next, left - 1)
        else:
            self._transport.write(
                _encode_chunk(make_chunk("", "stop")) + _encode_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
            )


def _encode_chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class _Stream(asyncio.Protocol):
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
        _, opened[name] = await loop.create_connection(_Stream, host, int(port))
    body = json.dumps({**json.loads(asked_for(0)), "stream": True}).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer sk-bench\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
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


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_StreamingTeacher, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
