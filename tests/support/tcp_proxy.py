"""A line to a server that a test can cut, in the ways that networks do, and mend again."""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Literal, Self

State = Literal[
    "open",
    "refused",  # nobody listens; what was connected is reset
    "reset",  # whoever connects is reset
    "silent",  # connections are accepted and stay, and nothing comes through until the line is open again
    "mute",  # what is asked comes through, but no answer does until the line is open again
]

_ABORT: Final = struct.pack("ii", 1, 0)
_PIECE: Final = 256 * 1024


class TcpProxy:
    """Listens on a loopback port, and passes everything on to HOST:PORT while the line is open."""

    def __init__(self, target: str = "", *, port: int = 0) -> None:
        self.target = target
        """HOST:PORT; to be set before anybody connects."""
        self._listening = _bound(port)
        self._port: int = self._listening.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._state: State = "open"
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.connected = 0
        """Connections taken so far."""

    @property
    def address(self) -> str:
        """HOST:PORT of this side."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
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
        if state in ("refused", "reset"):
            await self._reset_all()
        if state == "refused":
            await self._close()
        elif self._server is None:
            await self._listen()

    async def drop(self) -> None:
        """Reset all connections that there are, with what is on its way in them."""
        await self._reset_all()

    async def _listen(self) -> None:
        if self._listening.fileno() == -1:
            self._listening = _bound(self._port)
        self._server = await asyncio.start_server(self._take, sock=self._listening)

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        task = asyncio.get_running_loop().create_task(self._line(reader, writer))
        # Known from now on, not from its first step on: the line may be cut before that.
        self._lines[task] = [writer]
        task.add_done_callback(self._over)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self._state != "reset":
                await self._pass(reader, writer, self._lines[task])

    def _over(self, task: asyncio.Task[None]) -> None:
        for end in self._lines.pop(task):
            _abort(end)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        await self._asking.wait()
        host, _, port = self.target.rpartition(":")
        connecting = asyncio.ensure_future(asyncio.open_connection(host, int(port)))
        try:
            far_reader, far_writer = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # A connection that is there and that nobody took over would never be closed.
            ends.append((await connecting)[1])
            raise
        ends.append(far_writer)
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
            for end in ends:
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


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset; what was written and is not sent yet is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        writer.transport.abort()


def _set(event: asyncio.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()


def _bound(port: int = 0) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening
