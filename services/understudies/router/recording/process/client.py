"""Hand events to a process that records them, so that no call shares a core with its own recording."""

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
from understudies.router.recording.process.unacked import SerializedEvent, UnackedQueue
from understudies.router.recording.recorder import InProcessRecorder
from understudies.runtime.throttle import Throttle

_LINGER_S: Final = 0.01
_RESTART_DELAYS_S: Final = (0.1, 5.0)
_START_TIMEOUT_S: Final = 10.0
_GRACE_S: Final = 2.0
"""How much longer than it was given the process may take to end."""
_MAX_UNPRODUCTIVE_RUNS: Final = 3
"""So many processes in a row that end before a batch is settled say that it is the batch; so many that end before they
say anything, that there will be none."""

_log = logging.getLogger(__name__)


class ProcessRecorder:
    """Events wait here, packed, until the process that records has delivered them or put them on disk.

    Where that process ends, another one is given them again; where this one ends, the other one finishes what it has.
    So each event arrives at least once and with its id, those of one task in order, whichever of the two ends.
    Once `config.capacity` wait, the newest are dropped and counted. Where no process can be kept running, the events
    are recorded here, by a recorder of this process.

    Parameters
    ----------
    command
        Starts the process; it is given the number of a socket.
    unpack
        The event of packed bytes, as the process makes it too.
    instead
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
        """How many processes ended that should have gone on."""
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
        self._worker_responded = False
        """Whether the process of now has said anything."""
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
        """How many events are in memory."""
        return len(self._unacked) + (len(self._fallback) if self._fallback else 0)

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return self._unacked.size + (self._fallback.bytes if self._fallback else 0)

    @property
    def counts(self) -> RecorderStats:
        """What became of the events."""
        there = self._earlier.plus(self._status.counts)
        if self._fallback is not None:
            there = there.plus(self._fallback.counts)
        there.recorded = 0
        return self._own.plus(there)

    @property
    def dropped(self) -> int:
        """How many events are lost."""
        return self.counts.dropped

    @property
    def bus_unavailable(self) -> bool:
        """Whether the bus did not take the last events."""
        return self._fallback.bus_unavailable if self._fallback else self._status.bus_unavailable

    @property
    def spool(self) -> SpoolStats | None:
        """What waits on disk, as last heard."""
        return self._fallback.spool if self._fallback else self._status.spool

    def record(self, event: SerializedEvent) -> None:
        """Take a packed event; never waits."""
        self._own.recorded += 1
        if self._fallback is not None:
            self._fallback.record(partial(self._deserialize, event), len(event))
        elif not self._unacked.add(event):
            self._count_lost("buffer_full", 1)
        elif self._timer is None:
            self._idle.clear()
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._send)

    def count_unrecordable(self) -> None:
        """Count a call that cannot even be packed."""
        self._own.recorded += 1
        self._own.unrecordable += 1

    async def start(self) -> None:
        """Start the process, and wait until it runs: what it was not sent yet would end with this one."""
        if self._supervisor is None:
            self._supervisor = asyncio.get_running_loop().create_task(self._supervise())
            ready = asyncio.ensure_future(self._ready.wait())
            await asyncio.wait({ready}, timeout=_START_TIMEOUT_S)
            ready.cancel()

    async def flush(self) -> None:
        """Wait until nothing is left in memory: it is delivered, or on disk."""
        self._send()
        if self._unacked:
            await self._idle.wait()
        if self._fallback is not None:
            await self._fallback.flush()

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """The same within a time-out; False, and a line in the log, where something is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        if len(self):
            _log.error("%d events were not delivered yet", len(self))
        return not len(self)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Have what waits delivered, within a time-out, and the rest put on disk; then the process ends."""
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
        if self._unacked:
            await self._switch_to_fallback()
        if self._fallback is not None:
            await self._fallback.stop(max(_GRACE_S, self._left_s()))

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._channel is not None and (batch := self._unacked.take()):
            self._channel.send(batch)

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
            _log.error("%d events are lost so far, by reason %s", self.dropped, dict(self.counts.lost))

    async def _supervise(self) -> None:
        """Have a process that records, and another one where it ends, until told to stop."""
        pause_s = self._first_pause_s
        while self._fallback is None:
            code = await self._run_worker()
            if self._stopping.is_set() and (code == 0 or self._left_s() <= 0):
                return
            self.restarts += 1
            _log.error("the process that records ended with %s; another one is given what it had", code)
            await self._handle_crash_loop()
            pause_s = (
                min(pause_s * 2, self._longest_pause_s)
                if self._silent_runs + self._unproductive_runs
                else self._first_pause_s
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _handle_crash_loop(self) -> None:
        """Do something about processes that end again and again."""
        self._silent_runs = 0 if self._worker_responded else self._silent_runs + 1
        self._unproductive_runs = (
            0 if self._unacked.acked or not self._worker_responded else self._unproductive_runs + 1
        )
        if self._silent_runs >= _MAX_UNPRODUCTIVE_RUNS:
            _log.error("no process that records can be kept running; the router records for itself from now on")
            await self._switch_to_fallback()
        elif self._unproductive_runs >= _MAX_UNPRODUCTIVE_RUNS:
            self._unproductive_runs = 0
            self._count_lost("unwritable", self._unacked.drop_oldest_batch())

    async def _switch_to_fallback(self) -> None:
        """Record here what waits, and what is still to come."""
        self._fallback = recorder = self._make_fallback()
        for event in self._unacked.drain():
            recorder.record(partial(self._deserialize, event), len(event))
        self._idle.set()
        self._ready.set()
        await recorder.start()

    async def _run_worker(self) -> int | None:
        """One process from its start to its end; returns its exit code, None where it could not be started."""
        self._worker_responded = False
        unsettled = self._unacked.redeliver()
        ours, theirs = socket.socketpair()
        ended = asyncio.Event()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command, str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
                )
            line = await IpcChannel.connect(ours, self._on_status, ended.set)
        except OSError as error:
            ours.close()
            _log.error("no process that records can be started: %s", error)
            return None
        try:
            line.send(self._config)
            for batch in unsettled:
                line.send(batch)
            self._channel = line
            self._send()
            if self._stop_deadline is not None:
                line.send(Shutdown(max(0.0, self._left_s())))
            code = await process.wait()
            # What it said last comes before the end of the line.
            await ended.wait()
        finally:
            self._channel = None
            line.close()
            if process.returncode is None:
                process.kill()
            self._earlier = self._earlier.plus(self._status.counts)
            self._status = self._status._replace(acked=0, counts=RecorderStats())
        return code

    def _left_s(self) -> float:
        return 0.0 if self._stop_deadline is None else self._stop_deadline - asyncio.get_running_loop().time()
