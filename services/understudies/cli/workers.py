"""Several processes that do the same, and live and end together."""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from typing import Final

_MIN_UPTIME_S: Final = 10.0
"""A worker that ends within so many seconds of its start cannot start: another one could not either."""

_log = logging.getLogger(__name__)


async def run_workers(
    commands: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    stopping: asyncio.Event,
    *,
    min_uptime_s: float = _MIN_UPTIME_S,
) -> int:
    """Run the commands until told to stop; returns the exit code, which is the worst of theirs.

    A worker that dies is started again, unless it dies soon after its start: then all are stopped. SIGHUP goes to
    all of them. While they stop, Ctrl-C kills them.
    """
    workers = [_Worker(command, environment, min_uptime_s) for command in commands]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _signal_all, workers, signal.SIGHUP)
    lives = [asyncio.ensure_future(worker.supervise()) for worker in workers]
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({*lives, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        for worker in workers:
            worker.stop()
        loop.add_signal_handler(signal.SIGINT, _signal_all, workers, signal.SIGKILL)
        codes = await asyncio.gather(*lives)
        loop.remove_signal_handler(signal.SIGHUP)
        loop.remove_signal_handler(signal.SIGINT)
    return max(codes)


def _signal_all(workers: "Sequence[_Worker]", number: signal.Signals) -> None:
    for worker in workers:
        worker.signal(number)


class _Worker:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str], min_uptime_s: float) -> None:
        self._command = command
        self._environment = dict(environment)
        self._min_uptime_s = min_uptime_s
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def supervise(self) -> int:
        """Run it, again and again, until it is to stop or cannot start; returns its last exit code."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            code = await self._run_once()
            if self._stopping or clock() - began < self._min_uptime_s:
                return code if code >= 0 else 128 - code
            _log.error("worker %s ended with %d and is started again", self._command[-1], code)

    async def _run_once(self) -> int:
        # A session of its own: Ctrl-C reaches it through this process alone, and once.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        if self._stopping:
            self.stop()
        return await self._process.wait()

    def stop(self) -> None:
        """End it as a supervisor does."""
        self._stopping = True
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
