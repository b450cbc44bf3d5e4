"""Hand events to a recorder process, so that recording does not take CPU from the calls."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from understudies.events import Invocation
from understudies.router.recording.base import LossReason, RecorderStats, SpoolStats
from understudies.router.recording.process.ipc import IpcChannel, Shutdown, WorkerConfig, WorkerStatus
from understudies.router.recording.process.shared_log import SharedLog
from understudies.router.recording.process.unacked import SerializedEvent, UnackedQueue
from understudies.router.recording.recorder import InProcessRecorder
from understudies.runtime.throttle import Throttle

_LINGER_S: Final = 0.01
_RESTART_DELAYS_S: Final = (0.1, 5.0)
_START_TIMEOUT_S: Final = 10.0
_GRACE_S: Final = 2.0
"""Extra seconds that the process may take to end, beyond the time-out given to it."""
_MAX_UNPRODUCTIVE_RUNS: Final = 3
"""Processes in a row that end before settling a batch until the batch is dropped, or that end before sending anything
until no more are started."""

_log = logging.getLogger(__name__)


class ProcessRecorder:
    """Queue serialized events until the recorder process has delivered them or written them to disk.

    If that process ends, another one is given the events again; if this one ends, the other one finishes what it has,
    and what was not sent yet, which is in memory that both share. So each event arrives at least once with its id, and
    those of one task in order, whichever of the two ends. Once `config.capacity` events wait, the newest are dropped
    and counted. If no process can be kept running, a recorder in this process takes over.

    Parameters
    ----------
    command
        Starts the process; the numbers of a socket and of shared memory are appended.
    deserialize
        Restores the event from serialized bytes, as the process does too.
    make_fallback
        Makes the recorder of this process.
    """

    def __init__(
        self,
        config: WorkerConfig,
        command: Sequence[str],
        *,
        deserialize: Callable[[SerializedEvent], Invocation],
        make_fallback: Callable[[], InProcessRecorder],
        linger_s: float = _LINGER_S,
        pause_s: tuple[float, float] = _RESTART_DELAYS_S,
    ) -> None:
        self.restarts = 0
        """The number of processes that ended unexpectedly."""
        self._config = config
        self._command = command
        self._deserialize = deserialize
        self._make_fallback = make_fallback
        self._fallback: InProcessRecorder | None = None
        self._linger_s = linger_s
        self._first_pause_s, self._longest_pause_s = pause_s
        self._own = RecorderStats()
        self._earlier = RecorderStats()
        self._status = WorkerStatus(0, False, RecorderStats(), None)
        self._unacked = UnackedQueue(config.capacity, config.capacity_bytes)
        self._shared: SharedLog | None = None
        self._worker_responded = False
        """True if the current process has sent a status."""
        self._silent_runs = self._unproductive_runs = 0
        self._timer: asyncio.TimerHandle | None = None
        self._channel: IpcChannel | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stop_deadline: float | None = None
        self._idle = asyncio.Event()
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._log_throttle = Throttle()

    def __len__(self) -> int:
        """The number of events in memory."""
        return len(self._unacked) + (len(self._fallback) if self._fallback else 0)

    @property
    def bytes(self) -> int:
        """The memory that they take."""
        return self._unacked.size + (self._fallback.bytes if self._fallback else 0)

    @property
    def counts(self) -> RecorderStats:
        """The counts of events by outcome."""
        counts = self._earlier.plus(self._status.counts)
        if self._fallback is not None:
            counts = counts.plus(self._fallback.counts)
        counts.recorded = 0
        return self._own.plus(counts)

    @property
    def dropped(self) -> int:
        """The number of lost events."""
        return self.counts.dropped

    @property
    def bus_unavailable(self) -> bool:
        """Return whether the bus is unavailable: it did not accept the last events."""
        return self._fallback.bus_unavailable if self._fallback else self._status.bus_unavailable

    @property
    def spool(self) -> SpoolStats | None:
        """The statistics of the events on disk, as last reported."""
        return self._fallback.spool if self._fallback else self._status.spool

    def record(self, event: SerializedEvent) -> None:
        """Take a serialized event; never waits."""
        self._own.recorded += 1
        if self._fallback is not None:
            self._fallback.record(partial(self._deserialize, event), len(event))
        elif not self._unacked.add(event):
            self._count_lost("buffer_full", 1)
        elif self._timer is None:
            self._idle.clear()
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._send)

    def count_unrecordable(self) -> None:
        """Count a call that could not be serialized."""
        self._own.recorded += 1
        self._own.unrecordable += 1

    async def start(self) -> None:
        """Start the process and wait until it runs: without it, unsent events would be lost with this process."""
        if self._supervisor is None:
            self._share_memory()
            self._supervisor = asyncio.get_running_loop().create_task(self._supervise())
            ready = asyncio.ensure_future(self._ready.wait())
            await asyncio.wait({ready}, timeout=_START_TIMEOUT_S)
            ready.cancel()

    async def flush(self) -> None:
        """Wait until memory is empty: everything is delivered, or on disk."""
        self._send()
        if self._unacked:
            await self._idle.wait()
        if self._fallback is not None:
            await self._fallback.flush()

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """Flush within a time-out; return False, and log, if events are left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        if len(self):
            _log.error("%d events were not delivered yet", len(self))
        return not len(self)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Have waiting events delivered within a time-out and the rest written to disk, then stop the process."""
        self._stop_deadline = asyncio.get_running_loop().time() + timeout_s
        self._stopping.set()
        self._send()
        if self._supervisor is not None:
            if self._channel is not None:
                self._channel.send(Shutdown(timeout_s))
            await asyncio.wait({self._supervisor}, timeout=timeout_s + _GRACE_S)
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        if self._shared is not None:
            self._unacked.share(None)
            self._shared.close()
            self._shared = None
        if self._unacked:
            await self._switch_to_fallback()
        if self._fallback is not None:
            await self._fallback.stop(max(_GRACE_S, self._left_s()))

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._channel is not None and (batch := self._unacked.take(flushed=self._channel.is_flushed)):
            self._channel.send(batch)

    def _share_memory(self) -> None:
        try:
            self._shared = SharedLog()
        except (AttributeError, OSError) as error:
            # Only Linux has such memory.
            _log.warning(
                "no memory can be shared with the recorder process: the calls of the last %g s before a kill of the "
                "router will not be recorded: %r",
                self._linger_s,
                error,
            )
            return
        self._unacked.share(self._shared)

    def _on_status(self, status: WorkerStatus) -> None:
        self._worker_responded = True
        self._ready.set()
        self._status = status
        self._unacked.ack(status.acked)
        if not self._unacked:
            self._idle.set()

    def _count_lost(self, reason: LossReason, count: int) -> None:
        self._own.lost[reason] += count
        if self._log_throttle():
            _log.error("%d events lost so far, by reason: %s", self.dropped, dict(self.counts.lost))

    async def _supervise(self) -> None:
        """Keep a recorder process running, restarting it when it ends, until stopped."""
        pause_s = self._first_pause_s
        while self._fallback is None:
            code = await self._run_worker()
            if self._stopping.is_set() and (code == 0 or self._left_s() <= 0):
                return
            self.restarts += 1
            _log.error("the recorder process ended with %s; restarting it with its pending events", code)
            await self._handle_crash_loop()
            pause_s = (
                min(pause_s * 2, self._longest_pause_s)
                if self._silent_runs + self._unproductive_runs
                else self._first_pause_s
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _handle_crash_loop(self) -> None:
        """Handle a process that keeps ending: drop the batch that ends it, or fall back to this process."""
        self._silent_runs = 0 if self._worker_responded else self._silent_runs + 1
        self._unproductive_runs = (
            0 if self._unacked.acked or not self._worker_responded else self._unproductive_runs + 1
        )
        if self._silent_runs >= _MAX_UNPRODUCTIVE_RUNS:
            _log.error("the recorder process keeps failing; recording in the router process from now on")
            await self._switch_to_fallback()
        elif self._unproductive_runs >= _MAX_UNPRODUCTIVE_RUNS:
            self._unproductive_runs = 0
            self._count_lost("unwritable", self._unacked.drop_oldest_batch())

    async def _switch_to_fallback(self) -> None:
        """Record in this process from now on, starting with the events that wait."""
        self._fallback = recorder = self._make_fallback()
        for event in self._unacked.drain():
            recorder.record(partial(self._deserialize, event), len(event))
        self._idle.set()
        self._ready.set()
        await recorder.start()

    async def _run_worker(self) -> int | None:
        """Run one process to its end; return its exit code, None if it could not be started."""
        self._worker_responded = False
        unacked = self._unacked.redeliver()
        shared = () if self._shared is None else self._shared.descriptors
        local_end, remote_end = socket.socketpair()
        ended = asyncio.Event()
        try:
            with remote_end:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *map(str, (remote_end.fileno(), *shared)),
                    pass_fds=[remote_end.fileno(), *shared],
                    stdin=asyncio.subprocess.DEVNULL,
                )
            channel = await IpcChannel.connect(local_end, self._on_status, ended.set)
        except OSError as error:
            local_end.close()
            _log.error("the recorder process cannot be started: %s", error)
            return None
        try:
            channel.send(self._config)
            for batch in unacked:
                channel.send(batch)
            self._channel = channel
            self._send()
            if self._stop_deadline is not None:
                channel.send(Shutdown(max(0.0, self._left_s())))
            code = await process.wait()
            # The last status arrives before the channel ends.
            await ended.wait()
        finally:
            self._channel = None
            channel.close()
            if process.returncode is None:
                process.kill()
            self._earlier = self._earlier.plus(self._status.counts)
            self._status = self._status._replace(acked=0, counts=RecorderStats())
        return code

    def _left_s(self) -> float:
        return 0.0 if self._stop_deadline is None else self._stop_deadline - asyncio.get_running_loop().time()
