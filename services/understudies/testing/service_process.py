"""One service as a process: `understudies router`, `understudies observer`, …"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import Final

_READY: Final = r"\b\w+ runs: "
_TIMEOUT_S: Final = 180.0


class ServiceProcess:
    """A service with the output that it writes; it ends with `terminate` or `kill`, and may be started again."""

    def __init__(self, name: str, *arguments: str, env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[str] = []
        self._arguments = arguments
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("UNDERSTUDIES_")} | dict(env)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._begin = 0

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def output(self) -> str:
        """All lines of all starts."""
        return "\n".join(self.lines)

    async def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        if self.is_running:
            raise RuntimeError(f"{self.name} runs already")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "understudies.cli",
            self.name,
            *self._arguments,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._begin = len(self.lines)
        self._reader = asyncio.create_task(self._read(self._process))

    async def wait_ready(self, pattern: str = _READY, *, seconds: float = _TIMEOUT_S) -> "re.Match[str]":
        """Wait until a line since the last start matches; raises RuntimeError, with the output, if it ends before."""
        async with asyncio.timeout(seconds), self._changed:
            while True:
                for line in self.lines[self._begin :]:
                    if found := re.search(pattern, line):
                        return found
                if self._reader is None or self._reader.done():
                    raise RuntimeError(f"{self.name} ended before it was ready; its output:\n{self.output}")
                await self._changed.wait()

    async def terminate(self) -> int:
        """Ask the process to end, as a supervisor does; returns its exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait_ended()

    async def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        if self.is_running:
            self.signal(signal.SIGKILL)
            await self.wait_ended()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, such as SIGSTOP and SIGCONT."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        self._process.send_signal(number)

    async def wait_ended(self, *, seconds: float = _TIMEOUT_S) -> int:
        """Wait until the process ends; returns its exit code, negative for a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def close(self) -> None:
        """Kill the process and what it started."""
        if self.is_running and self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self.wait_ended()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is not None:
            async for line in process.stdout:
                async with self._changed:
                    self.lines.append(line.decode(errors="replace").rstrip())
                    self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()
