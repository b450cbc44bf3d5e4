"""A transport that sends what was written in one turn of the event loop together, and after all that turn's work."""

import asyncio
from typing import Any, Final

_WRITE_THROUGH_BYTES: Final = 65_536


class CoalescingTransport:
    """Writes to a transport, but holds everything back until the loop's next turn.

    An answer's head and body then take one system call and one packet, and all that a turn has to say goes out one
    right after the other: where it is for the same process, that is woken once, and the next turn has all that it asks
    then. To wake another process costs more than anything else that is done for a call.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send bytes, a little later; many at once, as joining them would cost more than a call."""
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
        """Say that nothing more comes, once everything is sent."""
        self._flush()
        self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
