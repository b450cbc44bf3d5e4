"""A connection to a teacher that is kept: one request after another, in HTTP/1.1."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import httptools

from understudies.router.corked import Corked
from understudies.router.upstream.incoming import WireReply
from understudies.router.upstream.reply import Broken, Dropped

_LONGEST_HEAD: Final = 65_536


class Wire(asyncio.Protocol):
    """Asks for one answer at a time.

    `on_done` is called once for each request, when its answer has come whole (True: the next one may be asked), or
    never will. What comes without having been asked for ends the connection: whose it is cannot be known.
    """

    def __init__(self, on_done: Callable[["Wire", bool], None]) -> None:
        self._on_done = on_done
        self._transport = cast(asyncio.Transport, None)
        self._is_closing: Callable[[], bool] = lambda: True
        self._parser: Any = httptools.HttpResponseParser(self)
        self._busy = False
        self._asked: asyncio.Future[WireReply] | None = None
        self._reply: WireReply | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._came = 0
        self._to_the_end = False
        self._paused = False
        self.done_at = 0.0
        """When the last answer had come, by the steady clock."""

    @property
    def usable(self) -> bool:
        return not self._busy and not self._is_closing()

    async def ask(self, head: bytes, body: bytes) -> WireReply:
        """The answer to a request, once its headers have come; raises Broken."""
        self._busy = True
        asked: asyncio.Future[WireReply] = asyncio.get_running_loop().create_future()
        self._asked = asked
        if len(body) < _LONGEST_HEAD:
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

    def go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection, and what may be coming over it."""
        self._asked = self._reply = None
        self._transport.abort()
        self._done(False)

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._is_closing = transport.is_closing
        held_back = Corked(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        self._transport = cast(asyncio.Transport, held_back)

    def data_received(self, data: bytes) -> None:
        if self._reply is None:
            self._came += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, Broken) else Broken(f"not HTTP: {type(error).__name__}"))
            return
        if self._came > _LONGEST_HEAD and self._reply is None and self._busy:
            self._fail(Broken("the headers of the answer are too large"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None and self._to_the_end and exc is None:
            reply, self._reply = self._reply, None
            reply.end()
            self._done(False)
        else:
            kind = Broken if self._came else Dropped
            self._fail(kind("the connection ended" if exc is None else f"the connection ended: {type(exc).__name__}"))

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._asked is None:
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reply is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        asked = self._asked
        if status < 200 or asked is None or asked.done():
            return
        self._reply = reply = WireReply(status, headers, self)
        self._to_the_end = not reply.framed and status not in (204, 304)
        self._asked = None
        asked.set_result(reply)

    def on_body(self, body: bytes) -> None:
        if self._reply is not None and self._reply.feed(body) and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        reply.end()
        self.go_on()
        self._came = 0
        keep = self._parser.should_keep_alive() and not self._is_closing()
        if not keep:
            self._transport.close()
        self._done(keep)

    def _fail(self, error: Broken) -> None:
        asked, self._asked = self._asked, None
        reply, self._reply = self._reply, None
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
