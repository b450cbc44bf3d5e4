"""A transport that sends an answer's head together with what follows it."""

import asyncio
from typing import Any


class Corked:
    """Writes to a transport, but holds a head back until its body comes, or until the loop's next turn without one.

    Whoever answers gives the head and the body one after the other: this makes one system call and one packet of the
    two. A streamed answer's first piece takes the head along, and none of its later pieces waits.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send bytes, those of a head a little later."""
        if self._head:
            data, self._head = self._head + data, b""
            self._transport.write(data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close once everything is sent."""
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Say that nothing more comes, once everything is sent."""
        self._flush()
        self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)
