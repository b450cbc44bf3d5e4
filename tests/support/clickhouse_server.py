"""A ClickHouse server for tests: started, stopped, paused and killed at will, on an address that stays."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.error import URLError
from urllib.parse import quote

from tests.support import clickhouse_http

_SECONDS: Final = 180


class ClickHouseServer:
    """ClickHouse's engine behind its HTTP interface; what it holds is in a folder and survives `kill` and `start`."""

    def __init__(self, *, password: str = "", folder: Path | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.password = password
        self._folder = folder
        self._is_temporary = folder is None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = clickhouse_http.USER, *, address: str | None = None) -> str:
        """The store URL of a database; `address` stands for its own where clients come by another way."""
        at = address or f"127.0.0.1:{self.port}"
        return f"clickhouse://{clickhouse_http.USER}:{quote(self.password, safe='')}@{at}/{database}"

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return once it answers."""
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="understudies-clickhouse-"))
        words = [str(self.port), str(self._folder), *([self.password] if self.password else [])]
        self._process = subprocess.Popen(
            [sys.executable, clickhouse_http.__file__, *words],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests, which stop it
        )
        until = time.monotonic() + _SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"ClickHouse does not come up: {self._process.poll()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        """Let it answer nothing; connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again, first of all what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove what it held."""
        self.kill()
        if self._is_temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(number)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/ping", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False
