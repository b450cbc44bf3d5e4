"""A persistent HTTP/1.1 connection to a teacher, for one request after another."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import httptools

from understudies.router.http1.coalescing import CoalescingTransport
from understudies.router.http1.response import ProtocolError, ServerDisconnected, StreamedResponse

_MAX_HEAD_BYTES: Final = 65_536


class ClientConnection(asyncio.Protocol):
    """Send one request at a time.

    `on_done` is called once for each request, when its answer is complete (True: the next request may be sent) or can
    never be. Unsolicited data closes the connection, because it cannot be attributed to a request.
    """

    def __init__(self, on_done: Callable[["ClientConnection", bool], None]) -> None:
        self._on_done = on_done
        self._transport = cast(asyncio.Transport, None)
        self._is_closing: Callable[[], bool] = lambda: True
        self._parser: Any = httptools.HttpResponseParser(self)
        self._busy = False
        self._pending: asyncio.Future[StreamedResponse] | None = None
        self._response: StreamedResponse | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._ends_with_connection = False
        self._paused = False
        self.idle_since = 0.0
        """When the last answer was complete, by the monotonic clock."""

    @property
    def is_usable(self) -> bool:
        return not self._busy and not self._is_closing()

    async def send_request(self, head: bytes, body: bytes) -> StreamedResponse:
        """Return the answer to a request once its headers have arrived; raises ProtocolError."""
        self._busy = True
        pending: asyncio.Future[StreamedResponse] = asyncio.get_running_loop().create_future()
        self._pending = pending
        if len(body) < _MAX_HEAD_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        try:
            return await pending
        except asyncio.CancelledError:
            if pending.done() and not pending.cancelled() and pending.exception() is None:
                pending.result().close()
            else:
                self.abort()
            raise

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Abort the connection, and any answer in progress."""
        self._pending = self._response = None
        self._transport.abort()
        self._done(False)

    # Callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._is_closing = transport.is_closing
        coalescing = CoalescingTransport(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        self._transport = cast(asyncio.Transport, coalescing)

    def data_received(self, data: bytes) -> None:
        if self._response is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(
                cause if isinstance(cause, ProtocolError) else ProtocolError(f"not HTTP: {type(error).__name__}")
            )
            return
        if self._head_bytes > _MAX_HEAD_BYTES and self._response is None and self._busy:
            self._fail(ProtocolError("the headers of the answer are too large"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and self._ends_with_connection and exc is None:
            response, self._response = self._response, None
            response.end()
            self._done(False)
        else:
            kind = ProtocolError if self._head_bytes else ServerDisconnected
            self._fail(kind("the connection ended" if exc is None else f"the connection ended: {type(exc).__name__}"))

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        if self._pending is None:
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        pending = self._pending
        if status < 200 or pending is None or pending.done():
            return
        self._response = response = StreamedResponse(status, headers, self)
        self._ends_with_connection = not response.has_framing and status not in (204, 304)
        self._pending = None
        pending.set_result(response)

    def on_body(self, body: bytes) -> None:
        if self._response is not None and self._response.feed(body) and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        response, self._response = self._response, None
        if response is None:
            return
        response.end()
        self.resume()
        self._head_bytes = 0
        keep = self._parser.should_keep_alive() and not self._is_closing()
        if not keep:
            self._transport.close()
        self._done(keep)

    def _fail(self, error: ProtocolError) -> None:
        pending, self._pending = self._pending, None
        response, self._response = self._response, None
        self._transport.abort()
        if response is not None:
            response.end(error)
        if pending is not None and not pending.done():
            pending.set_exception(error)
        self._done(False)

    def _done(self, keep: bool) -> None:
        if self._busy:
            self._busy = False
            self._on_done(self, keep)
