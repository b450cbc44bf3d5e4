"""A real Redis server for tests: started, stopped, paused and killed at will, on an address that stays."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest
from tests.support.certificates import client_context

PROGRAM = shutil.which("redis-server")


def require_redis() -> str:
    """The server's program; without one the test is skipped, or fails where `UNDERSTUDIES_TEST_REDIS=required`."""
    if PROGRAM is not None:
        return PROGRAM
    remedy = "install Debian's redis-server (`.ci/run` does), or put one on the PATH"
    if os.environ.get("UNDERSTUDIES_TEST_REDIS") == "required":
        pytest.fail(f"there is no redis-server here: {remedy}")
    pytest.skip(f"needs a real redis-server: {remedy}")


async def flush(url: str) -> None:
    """Let the server of a URL without a password forget everything."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"FLUSHALL\r\n")
        assert await reader.readline() == b"+OK\r\n"
    finally:
        writer.close()
        await writer.wait_closed()


class RedisServer:
    """A server on a loopback port that was free; what it holds survives `kill` and `start`, in a folder of its own."""

    def __init__(self, *, password: str | None = None, certificates: Path | None = None) -> None:
        """With a folder of `certificates`, it speaks TLS alone, and asks clients for theirs."""
        self._program = require_redis()
        self._certificates = certificates
        self._password = password
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How to reach it, with its password."""
        return f"redis://{'' if self._password is None else f':{self._password}@'}127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and return once it takes commands."""
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="understudies-redis-"))
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "yes"}
        # Every write is on disk before it is answered: what was acknowledged survives a kill.
        options |= {"appendfsync": "always"} | ({} if self._password is None else {"requirepass": self._password})
        if (pems := self._certificates) is not None:
            options |= {"port": 0, "tls-port": self.port, "tls-cert-file": pems / "server.pem"}
            options |= {"tls-key-file": pems / "server.key", "tls-ca-cert-file": pems / "ca.pem"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(  # noqa: ASYNC220 - outlives the event loop that starts it
            [self._program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(20):
            while not await self._is_ready():
                if (code := self._process.poll()) is not None:
                    raise RuntimeError(f"redis-server ended with code {code}")
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        """Let it answer nothing; connections stay open."""
        self._running_process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again, first of all what it was asked meanwhile."""
        self._running_process.send_signal(signal.SIGCONT)

    async def flush(self) -> None:
        """Let it lose everything, as one without a disk does when it restarts."""
        await self.send_command(b"FLUSHALL\r\n")
        await self.send_command(b"SCRIPT FLUSH\r\n")

    async def send_command(self, command: bytes) -> bytes:
        """The first line of the answer to a command, on a connection of its own."""
        context = None if self._certificates is None else client_context(self._certificates)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            writer.write(command)
            return await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    @property
    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process

    async def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return (await self.send_command(b"PING\r\n")).startswith((b"+PONG", b"-NOAUTH"))
        return False
