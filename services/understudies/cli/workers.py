"""Supervise several identical worker processes that start and stop together."""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from typing import Final

_MIN_UPTIME_S: Final = 10.0
"""A worker that exits within this many seconds of its start is assumed unable to start, as any other would be."""

_log = logging.getLogger(__name__)


async def run_workers(
    commands: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    stopping: asyncio.Event,
    *,
    min_uptime_s: float = _MIN_UPTIME_S,
) -> int:
    """Run the commands until `stopping` is set; returns the highest of their exit codes.

    A worker that dies is restarted, unless it dies soon after its start: then all are stopped. SIGHUP is forwarded to
    all workers. While they stop, Ctrl-C kills them.
    """
    workers = [_Worker(command, environment, min_uptime_s) for command in commands]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _signal_all, workers, signal.SIGHUP)
    supervisors = [asyncio.ensure_future(worker.supervise()) for worker in workers]
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({*supervisors, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        for worker in workers:
            worker.stop()
        loop.add_signal_handler(signal.SIGINT, _signal_all, workers, signal.SIGKILL)
        codes = await asyncio.gather(*supervisors)
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
        """Run the command, restarting it until it is stopped or cannot start; returns its last exit code."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            code = await self._run_once()
            if self._stopping or clock() - began < self._min_uptime_s:
                return code if code >= 0 else 128 - code
            _log.error("worker %s exited with %d, restarting it", self._command[-1], code)

    async def _run_once(self) -> int:
        # In a session of its own, so that Ctrl-C reaches it only through this process, and only once.
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        if self._stopping:
            self.stop()
        return await self._process.wait()

    def stop(self) -> None:
        """Stop the worker with SIGTERM, as a supervisor does."""
        self._stopping = True
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send the worker a signal if it is running."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
