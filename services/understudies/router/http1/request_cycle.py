"""One request and its response: uvicorn's cycle with less work for each header and event."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_CONTROLS: Final = bytes(set(range(32)) - {9}) + b"\x7f"
_NOT_IN_NAMES: Final = _CONTROLS + b'\t ()<>@,;:\\[]={}"'
_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_BODILESS: Final = frozenset({204, 304})
_LAST_CHUNK: Final = b"0\r\n\r\n"


class RequestCycle(RequestResponseCycle):
    """Pass a request to an application, and its response to the client.

    Running the application, and logging its failures, is uvicorn's. The overrides do what uvicorn's methods do, on the
    same attributes except for the body, but keep no access log: compare this class with each new version of uvicorn.
    """

    logger = logging.getLogger("uvicorn.error")
    ends_with_connection = False
    """True if the body has no framing, as for HTTP/1.0, and so ends when the connection is closed."""

    def __init__(  # pyright: ignore[reportMissingSuperCall]
        self,
        scope: HTTPScope,
        transport: asyncio.Transport,
        flow: FlowControl,
        default_headers: list[tuple[bytes, bytes]],
        on_response: Callable[[], None],
        *,
        expect_100_continue: bool,
        keep_alive: bool,
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.default_headers = default_headers
        self.on_response = on_response
        self.waiting_for_100_continue = expect_100_continue
        self.keep_alive = keep_alive
        self.message_event = asyncio.Event()
        self.disconnected = False
        self._parts: list[bytes] = []
        self._held = 0
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding = None
        self.expected_content_length = 0

    def start(self, app: ASGI3Application, loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[None]]) -> None:
        """Run the application in a task, and keep it in `tasks` while it runs."""
        self._tasks = tasks
        self._task = loop.create_task(self._run(app))
        tasks.add(self._task)

    async def _run(self, app: ASGI3Application) -> None:
        try:
            await self.run_asgi(app)
        finally:
            self._tasks.discard(self._task)

    def receive_body(self, body: bytes) -> int:
        """Store a part of the request's body; return the number of bytes held."""
        self._parts.append(body)
        self._held += len(body)
        self.message_event.set()
        return self._held

    async def send(self, message: ASGISendEvent) -> None:
        """Send an event of the response; raises RuntimeError for one that is invalid at this point."""
        if self.disconnected:
            return
        if self.flow.write_paused:
            await self.flow.drain()
            if self.disconnected:
                return
        if self.response_complete:
            raise RuntimeError(f"Unexpected ASGI message '{message['type']}' sent, after response already completed.")
        if self.response_started:
            if message["type"] != "http.response.body":
                raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{message['type']}'.")
            self._write_body(message.get("body", b""), message.get("more_body", False))
        else:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{message['type']}'.")
            self.response_started = True
            self.waiting_for_100_continue = False
            self._write_head(message["status"], [*self.default_headers, *message.get("headers", ())])

    async def send_response(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response to a request that is not HEAD: what `send` sends of its two events, in half the time.

        `headers`, with names in lower case, say nothing of the framing: the body has a length, and the status allows a
        body. Raises RuntimeError for an invalid header, or if a response has begun.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("A whole response was sent, after response already begun.")
        default = b"".join([b"%b: %b\r\n" % header for header in self.default_headers])
        head = STATUS_LINE[status] + default + _encode_headers(headers) + b"content-length: %d\r\n" % len(body)
        self.response_started = True
        self.waiting_for_100_continue = False
        self.transport.write(head + (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"))
        self._write(body)
        self._complete()

    def _write_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        _check_headers(headers)
        closes_connection = False
        head = [STATUS_LINE[status]]
        for name, value in headers:
            name = name.lower()
            if name in _FRAMING:
                closes_connection |= self._apply_framing(name, value)
            head += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not closes_connection:
            head.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            if self.scope["http_version"] == "1.0":
                self.ends_with_connection = True
            else:
                self.chunked_encoding = True
                head.append(b"transfer-encoding: chunked\r\n")
        head.append(b"\r\n")
        self.transport.write(b"".join(head))

    def _apply_framing(self, name: bytes, value: bytes) -> bool:
        """Apply a framing header of the response; return whether it closes the connection."""
        if name == b"connection":
            closes = b"close" in [token.strip() for token in value.lower().split(b",")]
            self.keep_alive = self.keep_alive and not closes
            return closes
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        return False

    def _write_body(self, body: bytes, more_body: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._write(chunk if more_body else chunk + _LAST_CHUNK)
        elif self.ends_with_connection:
            self._write(body)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("Response content longer than Content-Length")
            self._write(body)
        if not more_body:
            if self.expected_content_length != 0:
                raise RuntimeError("Response content shorter than Content-Length")
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, data: bytes) -> None:
        if data:
            self.transport.write(data)

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next part of the request's body, or the disconnect of the client."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            if self.flow.read_paused:
                self.flow.resume_reading()
            if not self.message_event.is_set():
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if not self.more_body and self.flow.read_paused:
            # Keep reading, so that a disconnect is noticed even if the application reads no more.
            self.flow.resume_reading()
        # A body that arrived in one piece is passed on without a copy.
        body = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}


def _encode_headers(headers: Mapping[str, str]) -> bytes:
    """Encode the lines of headers; raises RuntimeError for characters that would end one early or split it in two."""
    names = "".join(headers).encode("latin-1", "replace")
    if len(names.translate(None, _NOT_IN_NAMES)) != len(names):
        raise RuntimeError("Invalid HTTP header name.")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1", "replace")
    if len(lines.translate(None, _CONTROLS)) != len(lines) - 2 * len(headers):
        raise RuntimeError("Invalid HTTP header value.")
    return lines


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Raise RuntimeError for characters that would end a header early or split it in two."""
    if headers:
        names, values = zip(*headers, strict=True)
        joined = b"".join(names)
        if len(joined.translate(None, _NOT_IN_NAMES)) != len(joined):
            raise RuntimeError("Invalid HTTP header name.")
        joined = b"".join(values)
        if len(joined.translate(None, _CONTROLS)) != len(joined):
            raise RuntimeError("Invalid HTTP header value.")
