"""A connection to a teacher that is kept: one request after another, in HTTP/1.1."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import httptools

from understudies.router.http1.coalescing import CoalescingTransport
from understudies.router.http1.response import ProtocolError, ServerDisconnected, StreamedResponse

_MAX_HEAD_BYTES: Final = 65_536


class ClientConnection(asyncio.Protocol):
    """Asks for one answer at a time.

    `on_done` is called once for each request, when its answer has come whole (True: the next one may be asked), or
    never will. What comes without having been asked for ends the connection: whose it is cannot be known.
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
        """When the last answer had come, by the steady clock."""

    @property
    def is_usable(self) -> bool:
        return not self._busy and not self._is_closing()

    async def send_request(self, head: bytes, body: bytes) -> StreamedResponse:
        """The answer to a request, once its headers have come; raises ProtocolError."""
        self._busy = True
        asked: asyncio.Future[StreamedResponse] = asyncio.get_running_loop().create_future()
        self._pending = asked
        if len(body) < _MAX_HEAD_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        try:
            return await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled() and asked.exception() is None:
                asked.result().close()
            else:
                self.abort()
            raise

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection, and what may be coming over it."""
        self._pending = self._response = None
        self._transport.abort()
        self._done(False)

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._is_closing = transport.is_closing
        held_back = CoalescingTransport(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        self._transport = cast(asyncio.Transport, held_back)

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
            reply, self._response = self._response, None
            reply.end()
            self._done(False)
        else:
            kind = ProtocolError if self._head_bytes else ServerDisconnected
            self._fail(kind("the connection ended" if exc is None else f"the connection ended: {type(exc).__name__}"))

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._pending is None:
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        asked = self._pending
        if status < 200 or asked is None or asked.done():
            return
        self._response = reply = StreamedResponse(status, headers, self)
        self._ends_with_connection = not reply.has_framing and status not in (204, 304)
        self._pending = None
        asked.set_result(reply)

    def on_body(self, body: bytes) -> None:
        if self._response is not None and self._response.feed(body) and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        reply, self._response = self._response, None
        if reply is None:
            return
        reply.end()
        self.resume()
        self._head_bytes = 0
        keep = self._parser.should_keep_alive() and not self._is_closing()
        if not keep:
            self._transport.close()
        self._done(keep)

    def _fail(self, error: ProtocolError) -> None:
        asked, self._pending = self._pending, None
        reply, self._response = self._response, None
        self._transport.abort()
        if reply is not None:
            reply.end(error)
        if asked is not None and not asked.done():
            asked.set_exception(error)
        self._done(False)

    def _done(self, keep: bool) -> None:
        if self._busy:
            self._busy = False
            self._on_done(self, keep)
