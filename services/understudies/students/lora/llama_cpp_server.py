"""Start and stop the child process that serves a base model and a fixed list of adapters."""

import asyncio
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final

from pydantic import ValidationError

from understudies.students.base import StudentError
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPool
from understudies.students.endpoint.settings import Endpoint
from understudies.students.lora.llama_cpp_process import ServerAddress, ServerOptions

_STOP_S: Final = 5.0
_CONCURRENCY: Final = 64
_LAST_LINES: Final = 3


class ServerNotStarted(Exception):  # noqa: N818 - named by what happened
    """Report a child process that ended instead of serving; the text has its last words."""


class LlamaCppServer:
    """Running child process; `ids` are the positions of its adapters by name, `calls` those in progress."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, ids: Mapping[str, int], timeout_s: float) -> None:
        self.ids = ids
        self.calls = 0
        self.is_retired = False
        self.started_at = asyncio.get_running_loop().time()
        self._process = process
        endpoint = Endpoint(
            base_url=f"{url}/v1", model="lora", timeout_seconds=timeout_s, concurrency=_CONCURRENCY, streamed="always"
        )
        # It closes connections after a stream that it announced to keep, and of two in a row no call survives. On the
        # loopback interface a new one costs next to nothing.
        self._pool = EndpointPool(endpoint, keep_alive=False)
        self.chat = ChatClient(endpoint, self._pool)
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def start(
        cls, options: ServerOptions, names: tuple[str, ...], *, start_timeout_s: float, answer_timeout_s: float
    ) -> "LlamaCppServer":
        """Start the process and wait until it serves.

        Raises ServerNotStarted if it ends, and StudentError if it takes longer than the time-out.
        """
        process = await asyncio.to_thread(_spawn)
        try:
            url = await asyncio.wait_for(asyncio.to_thread(_exchange, process, options), start_timeout_s)
        except BaseException as error:
            # Also ends the thread that waits for the address.
            process.kill()
            if isinstance(error, TimeoutError):
                raise StudentError(f"llama.cpp did not start within {start_timeout_s:g} s") from error
            raise
        return cls(process, url, {name: number for number, name in enumerate(names)}, answer_timeout_s)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin_call(self) -> None:
        """Count a call in progress."""
        self.calls += 1
        self._idle.clear()

    def end_call(self) -> None:
        """Count a call as ended."""
        self.calls -= 1
        if not self.calls:
            self._idle.set()

    async def stop(self) -> None:
        """Stop the process once the calls in progress have ended."""
        self.is_retired = True
        await self._idle.wait()
        await self._pool.close()
        await asyncio.to_thread(_end, self._process)


def _spawn() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "understudies.students.lora.llama_cpp_process"]
    # In a session of its own, so that an interrupt from the terminal leaves it to its parent to end.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def _exchange(process: subprocess.Popen[bytes], options: ServerOptions) -> str:
    """Send the options to a process and return its address; its last words are the error if it has none."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    errors: deque[str] = deque(maxlen=_LAST_LINES)
    reader = threading.Thread(target=_drain, args=(process.stderr, errors), daemon=True)
    reader.start()
    try:
        process.stdin.write(options.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        return ServerAddress.model_validate_json(process.stdout.readline()).url
    except (OSError, ValidationError) as error:
        _end(process)
        reader.join()
        raise ServerNotStarted("; ".join(errors) or "no message") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    # It may have ended already, before it read everything.
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _drain(lines: IO[bytes], last: deque[str]) -> None:
    with lines:
        last.extend(line.decode(errors="replace").strip() for line in lines)
