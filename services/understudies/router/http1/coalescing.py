"""Coalesce the writes of one turn of the event loop into one, sent after all other work of that turn."""

import asyncio
from typing import Any, Final

_WRITE_THROUGH_BYTES: Final = 65_536


class CoalescingTransport:
    """Write to a transport, but hold everything back until the loop's next turn.

    The head and body of an answer then take one system call and one packet, and all output of a turn is sent back to
    back: a receiving process is woken once, and its next turn has all of it. Waking another process costs more than
    anything else done for a call.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write bytes at the next turn; large data at once, because joining it would cost more than a system call."""
        if len(data) > _WRITE_THROUGH_BYTES:
            self._flush()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Close once everything is sent."""
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Close the write side once everything is sent."""
        self._flush()
        self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
