"""One caller's connection: uvicorn's, with limits on what it may hold and how slow it may be."""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from understudies.router.corked import Corked

_END_OF_HEAD: Final = b"\r\n\r\n"
_OFFER: Final = b"upgrade:"
_UPGRADE: Final = re.compile(rb"(?<=\n)(?i:upgrade):")
_UPGRADE_AT_ONCE: Final = re.compile(rb"(?:\A|(?<=\n))(?i:upgrade):")
"""The same where the bytes begin with a line."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller may do.

    `head_bytes` limits the request line with all headers, and as much again of trailers or of a chunk's extensions.
    While a request is being sent, each span of `span_s` seconds has to bring `pace` bytes a second; a connection on
    which no request begins is closed after one span, and one that was used after `idle_s` seconds.
    """

    head_bytes: int = 65_536
    span_s: float = 20.0
    pace: int = 500
    idle_s: int = 75


class _Refused(Exception):  # noqa: N818 - not an error of ours
    """Stops the parser; what the caller is told is known already."""


class Connection(HttpToolsProtocol):
    """Speaks HTTP/1.1 with one caller."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._in_body = False
        self._held = 0
        self._received = 0
        self._tail = b""
        self._at_line = False
        self._refused = False
        self._refusal = (400, "the request is not HTTP/1.1", "bad_request")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, Corked(transport, self.loop))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._refused:
            self.transport.close()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._in_body:
            data, self._tail = self._tail + data, b""
            if b"pgrade:" in data or b"PGRADE:" in data:
                data = _without_upgrade(data, at_line=self._at_line)
            if rest := _beginning_of_upgrade(data):
                self._take(data[: -len(rest)])
                if self._refused:
                    return
                if self._begun and not self._in_body:
                    self._tail, self._at_line = rest, True
                    return
                data = rest
        self._take(data)
        self._at_line = self._begun and not self._in_body and data.endswith(b"\n")

    def _take(self, data: bytes) -> None:
        # What the parser keeps to itself counts; the callbacks below set it to zero as it lets go.
        self._held += len(data)
        self._received += len(data)
        super().data_received(data)
        if self._refused:
            return
        if not self._begun and self._answering:
            self._unwatch()
        elif self._held > self._limits.head_bytes:
            self._too_large()
            self.send_400_response("")
        elif self._timer is None:
            self._watch()

    def on_message_begin(self) -> None:
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._held > self._limits.head_bytes and self._head() > self._limits.head_bytes:
            self._too_large()
            raise _Refused
        self._in_body = True
        super().on_headers_complete()
        # The headers are the application's now; a trailer must not look like one of them.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        self._held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun = self._in_body = False
        self._held = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell the caller why it is refused, unless it would be taken for another answer, and hang up."""
        alone = self._in_body and not self.cycle.response_started and not self.pipeline
        if (alone or not self._answering) and not self.transport.is_closing():
            self.transport.write(_refusal(*self._refusal))
        if self._answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._hang_up()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _hang_up(self) -> None:
        """Take in for a while what the caller still sends: closing on unread bytes would destroy what it was told."""
        self._refused = True
        self._unwatch()
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(self._limits.span_s, self.transport.close)

    def _watch(self) -> None:
        self._received = 0
        self._timer = self.loop.call_later(self._limits.span_s, self._span_over)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _span_over(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._begun:
            self.transport.close()
        elif self._waits_for_us() or self._received >= self._limits.pace * self._limits.span_s:
            self._watch()
        else:
            self._refusal = (408, "the request came too slowly", "request_timeout")
            self.send_400_response("")

    def _waits_for_us(self) -> bool:
        """Whether the caller cannot go on: its body is not being read, or the answer before is not finished."""
        return self.flow.read_paused or (self._answering and not self._in_body)

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> None:
        self._refusal = (431, f"the headers are larger than {self._limits.head_bytes} bytes", "headers_too_large")


def _without_upgrade(data: bytes, *, at_line: bool) -> bytes:
    """The same bytes without an offer to change the protocol: the parser would take the body for the other protocol."""
    head, end, rest = data.partition(_END_OF_HEAD)
    return (_UPGRADE_AT_ONCE if at_line else _UPGRADE).sub(b"Ignored:", head) + end + rest


def _beginning_of_upgrade(data: bytes) -> bytes:
    """The last line, where it may become such an offer with the bytes to come."""
    line = data.rfind(b"\n", -len(_OFFER)) + 1
    rest = data[line:] if line else b""
    return rest if rest and _OFFER.startswith(rest.lower()) else b""


def _refusal(status: int, message: str, code: str) -> bytes:
    body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
