"""Exchange messages between a router and its recorder process: the channel and what is sent over it."""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast

from understudies.router.recording.base import RecorderStats, SpoolSnapshot
from understudies.router.recording.process.unacked import CAPACITY_BYTES
from understudies.runtime.settings import BusSettings

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


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What it is told first: where events go, and the folder and bytes for those that wait while the bus is away."""

    bus: BusSettings
    capacity: int
    spool: Path | None = None
    spool_bytes: int = 0
    capacity_bytes: int = CAPACITY_BYTES
    redact: bool = True


class Shutdown(NamedTuple):
    """Deliver what waits, within so many seconds, put the rest on disk, and end."""

    timeout_s: float


class WorkerStatus(NamedTuple):
    """How it fares; the first `acked` of the events that it was given need be kept by nobody else any longer."""

    acked: int
    bus_unavailable: bool
    counts: RecorderStats
    spool: SpoolSnapshot | None
