"""One client's connection: uvicorn's, with limits on memory and slowness."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
import orjson
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from understudies.router.http1.coalescing import CoalescingTransport
from understudies.router.http1.deadlines import DeadlineTimer
from understudies.router.http1.disconnect import CLIENT_EXTENSION, ClientConnectionState
from understudies.router.http1.request_cycle import RequestCycle

_VERSIONS: Final = ("1.1", "1.0")
_END_OF_HEAD: Final = b"\r\n\r\n"
_UPGRADE_HEADER: Final = b"upgrade:"
_UPGRADE: Final = re.compile(rb"(?<=\n)(?i:upgrade):")
_UPGRADE_AT_START: Final = re.compile(rb"(?:\A|(?<=\n))(?i:upgrade):")
"""The same for bytes that start at the beginning of a line."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits for a client.

    `head_bytes` limits the request line with all headers, and separately trailers or the extensions of a chunk. While a
    request is being sent, each window of `slow_client_window_s` seconds must bring `min_bytes_per_s` bytes a second; a
    connection on which no request begins is closed after one window, and one that was used before after `idle_s`
    seconds.
    """

    head_bytes: int = 65_536
    slow_client_window_s: float = 20.0
    min_bytes_per_s: int = 500
    idle_s: int = 75


class _RequestRejected(Exception):  # noqa: N818 - control flow, not an error
    """Stops the parser; the response to send is already set."""


class ServerConnection(HttpToolsProtocol):
    """Speak HTTP/1.1 with one client.

    Reading and writing bytes is uvicorn's. The callbacks of the parser, and the sequence of requests, override
    uvicorn's methods on its own attributes, for less work on each request: without WebSockets, a root path and a limit
    of concurrency, which `HttpServer` does not use. Compare this class with each new version of uvicorn.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._app = cast(ASGI3Application, self.app)
        self._limits = limits
        self._timer = DeadlineTimer(self.loop)
        self._client_state = ClientConnectionState(self._timer)
        self._extensions = {CLIENT_EXTENSION: self._client_state}
        self._is_timing_request = False
        self._running: RequestCycle | None = None
        self._pipelined: deque[RequestCycle] = deque()
        self._in_request = False
        self._in_body = False
        self._held = 0
        self._received = 0
        self._tail = b""
        self._at_line = False
        self._rejected = False
        self._rejection = (400, "the request is not HTTP/1.1", "bad_request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, CoalescingTransport(transport, self.loop))
        self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_client_disconnected()
        self._timer.close()

    def shutdown(self) -> None:
        if self._rejected:
            self.transport.close()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return
        if not self._in_body:
            data, self._tail = self._tail + data, b""
            if _head(data).lower().find(_UPGRADE_HEADER) >= 0:
                data = _without_upgrade(data, at_line=self._at_line)
            if rest := _partial_upgrade_line(data):
                self._parse(data[: -len(rest)])
                if self._rejected:
                    return
                if self._in_request and not self._in_body:
                    self._tail, self._at_line = rest, True
                    return
                data = rest
        self._parse(data)
        self._at_line = self._in_request and not self._in_body and data.endswith(b"\n")

    def _parse(self, data: bytes) -> None:
        # Count the bytes that the parser keeps; the callbacks below reset the count when it releases them.
        self._held += len(data)
        self._received += len(data)
        super().data_received(data)
        if self._rejected:
            return
        if not self._in_request and self._is_responding:
            self._stop_request_timer()
        elif self._held > self._limits.head_bytes:
            self._reject_headers()
            self.send_400_response("")
        elif not self._is_timing_request:
            self._start_request_timer()

    def on_message_begin(self) -> None:
        self._in_request = True
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        if self._held > self._limits.head_bytes and self._head_bytes() > self._limits.head_bytes:
            self._reject_headers()
            raise _RequestRejected
        parser: Any = self.parser
        version = parser.get_http_version()
        if version not in _VERSIONS:
            # The parser takes HTTP/2.0, HTTP/0.9 and none at all for versions.
            self._rejection = (505, "the request is not HTTP/1.1 or HTTP/1.0", "http_version_not_supported")
            raise _RequestRejected
        self._in_body = True
        path, raw_path, query = _target(self.url)
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "extensions": self._extensions,
        }
        previous = self.cycle
        self.cycle = cycle = RequestCycle(
            scope,
            self.transport,
            self.flow,
            self.server_state.default_headers,
            self.on_response_complete,
            expect_100_continue=self.expect_100_continue and version != "1.0",
            keep_alive=version != "1.0" and parser.should_keep_alive(),
        )
        # The headers now belong to the application; a trailer must not be added to them.
        self.headers = []
        if previous is None or previous.response_complete:
            self._start(cycle)
        else:
            self.flow.pause_reading()
            self._pipelined.append(cycle)

    def on_body(self, body: bytes) -> None:
        self._held = 0
        cycle: RequestCycle = self.cycle  # type: ignore[assignment] # `on_headers_complete` set it
        if not cycle.response_complete and cycle.receive_body(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._in_request = self._in_body = False
        self._held = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Start the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._pipelined:
            self._start(self._pipelined.popleft())
        elif not self._is_timing_request:
            self._timer.set(self, self._limits.idle_s)

    def send_400_response(self, msg: str) -> None:
        """Send the rejection, unless it would be taken for another response, and close the connection."""
        alone = self._in_body and not self.cycle.response_started and not self._pipelined
        if (alone or not self._is_responding) and not self.transport.is_closing():
            self.transport.write(_rejection_response(*self._rejection))
        self._on_client_disconnected()
        self._close_lingering()

    def _start(self, cycle: RequestCycle) -> None:
        self._running = cycle
        cycle.start(self._app, self.loop, self.tasks)

    @property
    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _on_client_disconnected(self) -> None:
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._client_state.disconnect()

    def _close_lingering(self) -> None:
        """Keep reading for a while before closing.

        Closing with unread bytes would reset the connection and lose the response.
        """
        self._rejected = True
        self._stop_request_timer()
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer.set(self, self._limits.slow_client_window_s)

    def _start_request_timer(self) -> None:
        self._received = 0
        self._is_timing_request = True
        self._timer.set(self, self._limits.slow_client_window_s)

    def _stop_request_timer(self) -> None:
        self._is_timing_request = False
        self._timer.cancel(self)

    def on_deadline(self) -> None:
        """Close an idle connection, or reject a request that arrives too slowly."""
        was_timing, self._is_timing_request = self._is_timing_request, False
        if self.transport.is_closing():
            return
        if not (was_timing and self._in_request):
            self.transport.close()
        elif (
            self._is_client_blocked()
            or self._received >= self._limits.min_bytes_per_s * self._limits.slow_client_window_s
        ):
            self._start_request_timer()
        else:
            self._rejection = (408, "the request came too slowly", "request_timeout")
            self.send_400_response("")

    def _is_client_blocked(self) -> bool:
        """Return whether the client cannot proceed: its body is not read, or the previous response is unfinished."""
        return self.flow.read_paused or (self._is_responding and not self._in_body)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _reject_headers(self) -> None:
        self._rejection = (431, f"the headers are larger than {self._limits.head_bytes} bytes", "headers_too_large")


@lru_cache(maxsize=32)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """Return path, raw path and query; cached, because most calls use the same few."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


def _head(data: bytes) -> bytes:
    """Return the part before a body, because searching a long body would take too long."""
    end = data.find(_END_OF_HEAD)
    return data if end < 0 else data[:end]


def _without_upgrade(data: bytes, *, at_line: bool) -> bytes:
    """Replace an `Upgrade` header, because the parser would treat the body as the other protocol."""
    head, end, rest = data.partition(_END_OF_HEAD)
    return (_UPGRADE_AT_START if at_line else _UPGRADE).sub(b"Ignored:", head) + end + rest


def _partial_upgrade_line(data: bytes) -> bytes:
    """Return the last line if later bytes may complete it to an `Upgrade` header; else nothing."""
    line = data.rfind(b"\n", -len(_UPGRADE_HEADER)) + 1
    rest = data[line:] if line else b""
    return rest if rest and _UPGRADE_HEADER.startswith(rest.lower()) else b""


def _rejection_response(status: int, message: str, code: str) -> bytes:
    body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
