"""A line to a server that a test can cut, in the ways that networks do, and mend again."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Literal, Self

ProxyState = Literal[
    "open",
    "refused",  # nobody listens; what was connected is reset
    "reset",  # whoever connects is reset
    "silent",  # connections are accepted and stay, and nothing comes through until the line is open again
    "mute",  # what is asked comes through, but no answer does until the line is open again
]

_Endpoint = socket.socket | asyncio.StreamWriter
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_ABORT: Final = struct.pack("ii", 1, 0)
_CHUNK_SIZE: Final = 256 * 1024
_BACKLOG: Final = 100


class TcpProxy:
    """Listens on a loopback port, and passes everything on to HOST:PORT while the line is open."""

    def __init__(self, target: str = "", *, port: int = 0) -> None:
        self.target = target
        """HOST:PORT; to be set before anybody connects."""
        self._bound = _bind(port)
        self._port: int = self._bound.getsockname()[1]
        self._listening = False
        self._state: ProxyState = "open"
        self._requests_pass = asyncio.Event()
        self._replies_pass = asyncio.Event()
        self._connections: dict[asyncio.Task[None], list[_Endpoint]] = {}
        self.connection_count = 0
        """Connections taken so far."""

    @property
    def address(self) -> str:
        """HOST:PORT of this side."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.set_state("open")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.set_state("refused")

    async def set_state(self, state: ProxyState) -> None:
        """From now on the line is in this state."""
        self._state = state
        _set_event(self._requests_pass, state in ("open", "mute"))
        _set_event(self._replies_pass, state == "open")
        if state == "refused":
            self._close()
        if state in ("refused", "reset"):
            await self._reset_all()
        if state != "refused" and not self._listening:
            self._listen()

    async def reset_connections(self) -> None:
        """Reset all connections that there are, with what is on its way in them."""
        await self._reset_all()

    def _listen(self) -> None:
        if self._bound.fileno() == -1:
            self._bound = _bind(self._port)
        self._bound.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._bound, self._accept)
        self._listening = True

    def _close(self) -> None:
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._bound)
        self._bound.close()
        self._listening = False

    def _accept(self) -> None:
        """Take whoever waits, at once: asyncio's own server loses a connection that it took as it was closed."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                near, _ = self._bound.accept()
                near.setblocking(False)
                self.connection_count += 1
                task = asyncio.get_running_loop().create_task(self._serve(near))
                # Known from now on, not from its first step on: the line may be cut before that.
                self._connections[task] = [near]
                task.add_done_callback(self._forget)

    async def _serve(self, near: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._state == "reset":
            return
        # From here on it belongs to the stream that it becomes.
        ends = self._connections[task]
        ends.clear()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._relay(near, ends)

    def _forget(self, task: asyncio.Task[None]) -> None:
        for end in self._connections.pop(task):
            _abort(end)

    async def _relay(self, near: socket.socket, ends: list[_Endpoint]) -> None:
        reader, writer = await _track_connection(asyncio.open_connection(sock=near), ends)
        await self._requests_pass.wait()
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await _track_connection(asyncio.open_connection(host, int(port)), ends)
        both = [
            asyncio.ensure_future(_pump(reader, far_writer, self._requests_pass)),
            asyncio.ensure_future(_pump(far_reader, writer, self._replies_pass)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in both:
                pump.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for end in (writer, far_writer):
                with contextlib.suppress(OSError):
                    end.close()

    async def _reset_all(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            for end in self._connections[task]:
                _abort(end)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What they leave is aborted as they end, which the loop does in its next turn.
        await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: asyncio.Event) -> None:
    """Pass on what comes, when it may, until one side ends."""
    while piece := await reader.read(_CHUNK_SIZE):
        await through.wait()
        writer.write(piece)
        await writer.drain()
    await through.wait()


async def _track_connection(connecting: Coroutine[Any, Any, _Streams], ends: list[_Endpoint]) -> _Streams:
    """What connects, noted as one of the line's ends; whoever is cancelled meanwhile leaves it there to be closed."""
    opening = asyncio.ensure_future(connecting)
    try:
        reader, writer = await asyncio.shield(opening)
    except asyncio.CancelledError:
        ends.append((await opening)[1])
        raise
    ends.append(writer)
    return reader, writer


def _abort(end: _Endpoint) -> None:
    """Close with a reset; what was written and is not sent yet is lost."""
    if isinstance(end, socket.socket):
        if end.fileno() != -1:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            end.close()
    elif not end.is_closing():
        sock = end.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        end.transport.abort()


def _set_event(event: asyncio.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()


def _bind(port: int = 0) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.setblocking(False)
    return listening
