"""Exchange messages between a router and its recorder process: the channel and the messages."""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast

from understudies.redaction.packs import Pack, build_redactor
from understudies.redaction.redactor import Redactor
from understudies.router.recording.base import RecorderStats, SpoolSnapshot
from understudies.router.recording.process.unacked import CAPACITY_BYTES
from understudies.runtime.settings import BusSettings

_LENGTH: Final = struct.Struct(">Q")


class IpcChannel(asyncio.Protocol):
    """Send and receive pickled values over a socket pair that only this program's processes hold.

    `on_value` is called for each received value, in order, and `on_end` once, when nothing more can arrive.
    """

    def __init__(self, on_value: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        self._on_value = on_value
        self._on_end = on_end
        self._transport = cast(asyncio.Transport, None)
        self._received = bytearray()

    @classmethod
    async def connect(cls, end: socket.socket, on_value: Callable[[Any], None], on_end: Callable[[], None]) -> Self:
        """Open the channel over one end of a socket pair."""
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_connection(lambda: cls(on_value, on_end), sock=end)
        return channel

    @property
    def is_flushed(self) -> bool:
        """Return whether the kernel has all values sent, so that the other side receives them in any case."""
        return self._transport.get_write_buffer_size() == 0

    def send(self, value: Any) -> None:
        """Send a value after the earlier ones; never waits: values that the other side has not read stay in memory."""
        if not self._transport.is_closing():
            data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """Close the channel once everything is sent."""
        self._transport.close()

    # Callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._received
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            begin = at + _LENGTH.size
            end = begin + _LENGTH.unpack_from(buffer, at)[0]
            if len(buffer) < end:
                break
            value = pickle.loads(memoryview(buffer)[begin:end])
            at = end
            self._on_value(value)
        if at:
            del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The first message to the process: the bus to deliver to, and the folder and limit of the spool."""

    bus: BusSettings
    capacity: int
    spool: Path | None = None
    spool_bytes: int = 0
    capacity_bytes: int = CAPACITY_BYTES
    redact: bool = True
    redact_packs: tuple[Pack, ...] = ()
    redact_patterns: Mapping[str, str] = field(default_factory=dict)

    @property
    def redactor(self) -> Redactor | None:
        """The redactor that the packs and patterns make; None if nothing is redacted."""
        return build_redactor(self.redact_packs, self.redact_patterns) if self.redact else None


class Shutdown(NamedTuple):
    """The order to deliver waiting events within a time-out, write the rest to disk, and end."""

    timeout_s: float


class WorkerStatus(NamedTuple):
    """The report of the process; the first `acked` of its events are settled and need not be kept by the sender."""

    acked: int
    bus_unavailable: bool
    counts: RecorderStats
    spool: SpoolSnapshot | None
