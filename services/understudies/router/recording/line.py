"""The line between a router and the process that records for it: values of Python's own types, one after the other."""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Self, cast

_LENGTH: Final = struct.Struct(">Q")


class IpcChannel(asyncio.Protocol):
    """Sends and receives values over a socket pair of one program; nobody else has an end of it.

    `on_value` is called for each that comes, in order, and `on_end` once, when nothing more can come.
    """

    def __init__(self, on_value: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        self._on_value = on_value
        self._on_end = on_end
        self._transport = cast(asyncio.Transport, None)
        self._received = bytearray()

    @classmethod
    async def connect(cls, end: socket.socket, on_value: Callable[[Any], None], on_end: Callable[[], None]) -> Self:
        """The line over one end of a socket pair."""
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: cls(on_value, on_end), sock=end)
        return line

    def send(self, value: Any) -> None:
        """Send a value behind those before; never waits, and what the other side is too slow for waits in memory."""
        if not self._transport.is_closing():
            data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """End the line, once everything is sent."""
        self._transport.close()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        came = self._received
        came += data
        at = 0
        while len(came) - at >= _LENGTH.size:
            begin = at + _LENGTH.size
            end = begin + _LENGTH.unpack_from(came, at)[0]
            if len(came) < end:
                break
            value = pickle.loads(memoryview(came)[begin:end])
            at = end
            self._on_value(value)
        if at:
            del came[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()
