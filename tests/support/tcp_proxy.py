"""A line to a server that a test can cut, in the ways that networks do, and mend again."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Literal, Self

State = Literal[
    "open",
    "refused",  # nobody listens; what was connected is reset
    "reset",  # whoever connects is reset
    "silent",  # connections are accepted and stay, and nothing comes through until the line is open again
    "mute",  # what is asked comes through, but no answer does until the line is open again
]

_End = socket.socket | asyncio.StreamWriter
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_ABORT: Final = struct.pack("ii", 1, 0)
_PIECE: Final = 256 * 1024
_BACKLOG: Final = 100


class TcpProxy:
    """Listens on a loopback port, and passes everything on to HOST:PORT while the line is open."""

    def __init__(self, target: str = "", *, port: int = 0) -> None:
        self.target = target
        """HOST:PORT; to be set before anybody connects."""
        self._bound = _bound(port)
        self._port: int = self._bound.getsockname()[1]
        self._listening = False
        self._state: State = "open"
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self._lines: dict[asyncio.Task[None], list[_End]] = {}
        self.connected = 0
        """Connections taken so far."""

    @property
    def address(self) -> str:
        """HOST:PORT of this side."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.put("open")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.put("refused")

    async def put(self, state: State) -> None:
        """From now on the line is in this state."""
        self._state = state
        _set(self._asking, state in ("open", "mute"))
        _set(self._answering, state == "open")
        if state == "refused":
            self._close()
        if state in ("refused", "reset"):
            await self._reset_all()
        if state != "refused" and not self._listening:
            self._listen()

    async def drop(self) -> None:
        """Reset all connections that there are, with what is on its way in them."""
        await self._reset_all()

    def _listen(self) -> None:
        if self._bound.fileno() == -1:
            self._bound = _bound(self._port)
        self._bound.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._bound, self._take)
        self._listening = True

    def _close(self) -> None:
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._bound)
        self._bound.close()
        self._listening = False

    def _take(self) -> None:
        """Take whoever waits, at once: asyncio's own server loses a connection that it took as it was closed."""
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                near, _ = self._bound.accept()
                near.setblocking(False)
                self.connected += 1
                task = asyncio.get_running_loop().create_task(self._line(near))
                # Known from now on, not from its first step on: the line may be cut before that.
                self._lines[task] = [near]
                task.add_done_callback(self._over)

    async def _line(self, near: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._state == "reset":
            return
        # From here on it belongs to the stream that it becomes.
        ends = self._lines[task]
        ends.clear()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._pass(near, ends)

    def _over(self, task: asyncio.Task[None]) -> None:
        for end in self._lines.pop(task):
            _abort(end)

    async def _pass(self, near: socket.socket, ends: list[_End]) -> None:
        reader, writer = await _connected(asyncio.open_connection(sock=near), ends)
        await self._asking.wait()
        host, _, port = self.target.rpartition(":")
        far_reader, far_writer = await _connected(asyncio.open_connection(host, int(port)), ends)
        both = [
            asyncio.ensure_future(_pump(reader, far_writer, self._asking)),
            asyncio.ensure_future(_pump(far_reader, writer, self._answering)),
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
        tasks = list(self._lines)
        for task in tasks:
            for end in self._lines[task]:
                _abort(end)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What they leave is aborted as they end, which the loop does in its next turn.
        await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: asyncio.Event) -> None:
    """Pass on what comes, when it may, until one side ends."""
    while piece := await reader.read(_PIECE):
        await through.wait()
        writer.write(piece)
        await writer.drain()
    await through.wait()


async def _connected(connecting: Coroutine[Any, Any, _Streams], ends: list[_End]) -> _Streams:
    """What connects, noted as one of the line's ends; whoever is cancelled meanwhile leaves it there to be closed."""
    opening = asyncio.ensure_future(connecting)
    try:
        reader, writer = await asyncio.shield(opening)
    except asyncio.CancelledError:
        ends.append((await opening)[1])
        raise
    ends.append(writer)
    return reader, writer


def _abort(end: _End) -> None:
    """Close with a reset; what was written and is not sent yet is lost."""
    if isinstance(end, socket.socket):
        if end.fileno() != -1:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            end.close()
    elif not end.is_closing():
        sock = end.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        end.transport.abort()


def _set(event: asyncio.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()


def _bound(port: int = 0) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.setblocking(False)
    return listening
