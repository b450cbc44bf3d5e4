"""The command line as its users run it: a process of its own, with what it says and how it ends."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import openai

from understudies.runtime.store import Store

TIMEOUT_S = 180
_COMMAND = "from understudies.cli.main import app; app()"


class Command:
    """`understudies ...`; killed at the end of the block, should it run still."""

    def __init__(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        self._arguments = [str(argument) for argument in arguments]
        self._env = {**_plain_environment(), **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._line_added = asyncio.Condition()
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _COMMAND,
            *self._arguments,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read_output())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            # Its workers too: one that outlives it would hold its output open.
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.wait_exit()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """All that it said so far."""
        return "\n".join(self.lines)

    async def wait_for_line(self, pattern: str) -> "re.Match[str]":
        """Wait until a line matches; fails with what was said instead, should it end before."""
        async with asyncio.timeout(TIMEOUT_S), self._line_added:
            while True:
                for line in self.lines:
                    if found := re.search(pattern, line):
                        return found
                assert self._reader is not None
                assert not self._reader.done(), f"ended with {self.process.returncode}, it said:\n{self.output}"
                await self._line_added.wait()

    async def wait_router_url(self) -> str:
        """The router's base URL for OpenAI clients, once it listens."""
        return (await self.wait_for_line(r"router listens on (http://\S+/v1)"))[1]

    async def wait_exit(self) -> int:
        """Wait for the end; returns the exit code."""
        async with asyncio.timeout(TIMEOUT_S):
            code = await self.process.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def terminate(self) -> int:
        """Ask it to end as a supervisor does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.wait_exit()

    async def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.process.kill()
        await self.wait_exit()

    async def _read_output(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._line_added:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._line_added.notify_all()
        async with self._line_added:
            self._line_added.notify_all()


async def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does and nobody announces."""
    async with asyncio.timeout(TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - a file of another process
            await asyncio.sleep(0.02)


def up_command(data: Path, teacher_url: str, *more: str | Path, env: Mapping[str, str] | None = None) -> Command:
    """`understudies up` on any free port."""
    return Command("up", "--port", "0", "--teacher-url", teacher_url, "--data", data, *more, env=env)


def openai_client(url: str, key: str = "sk-test") -> openai.AsyncOpenAI:
    """The real client, which asks once."""
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=TIMEOUT_S)


async def query_store(data: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """What the store of a data folder answers; nothing may run on the folder meanwhile."""
    store = await Store.open(f"chdb://{(data / 'store').resolve()}")
    try:
        return await store.query(sql, parameters)
    finally:
        await store.close()


def _plain_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNDERSTUDIES_", "OPENAI_"))}
    # The teacher is asked again about one call in a hundred: by chance, which is no way to count rows in a test.
    # And a student's first answers are compared before any is given, which most tests are not about.
    fixed = {"UNDERSTUDIES_ROUTER_SELF_AGREEMENT_RATE": "0", "UNDERSTUDIES_ROUTER_PROBATION_CALLS": "0"}
    return {**kept, **fixed, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}
