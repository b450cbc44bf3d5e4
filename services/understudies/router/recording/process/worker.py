"""`python -m understudies.router.recording.process.worker SOCKET [MEMORY ...]`: the recorder process of a router.

The router starts it with the numbers of a socket and of the memory that they share. It ends on request or when the
router is gone; then it still delivers what it has, or writes it to disk. It ignores signals, which are for the router.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final

from understudies.events import Invocation
from understudies.redaction.redactor import Redactor
from understudies.router.recording.base import RecorderStats, SpoolSnapshot
from understudies.router.recording.process.ipc import IpcChannel, Shutdown, WorkerConfig, WorkerStatus
from understudies.router.recording.process.serialization import deserialize
from understudies.router.recording.process.shared_log import read_unsent
from understudies.router.recording.process.unacked import EventBatch
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.logs import configure_logging
from understudies.runtime.process import freeze_startup_objects
from understudies.runtime.throttle import Throttle

_STATUS_INTERVAL_S: Final = 0.25
_BUS_START_TIMEOUT_S: Final = 2.0
_ORPHAN_DRAIN_S: Final = 10.0
"""Seconds to deliver pending events after the router is gone."""
_LOCK_TIMEOUT_S: Final = 20.0
_RECONNECT_S: Final = 2.0
_YIELD_BELOW_EVENTS: Final = 300
"""Queue length up to which the process yields its core to calls."""

_log = logging.getLogger(__name__)


class RecorderWorker:
    """Record the events that arrive over a channel, and report its status.

    `shared` are the file descriptors of the memory with the events that the router has not sent yet.
    """

    def __init__(self, shared: tuple[int, ...] = ()) -> None:
        self._shared = shared
        self._next = 0
        """The sequence number of the next event to arrive."""
        self.config: asyncio.Future[WorkerConfig | None] = asyncio.get_running_loop().create_future()
        self._received: list[bytes] = []
        self._recorder: InProcessRecorder | None = None
        self._redact: Redactor | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._timeout_s = _ORPHAN_DRAIN_S
        self._last_status: WorkerStatus | None = None

    def on_message(self, value: Any) -> None:
        """Handle a message of the router."""
        if isinstance(value, EventBatch):
            self._next = value.first + len(value.events)
            self._received += value.events
            self._record_received()
        elif isinstance(value, Shutdown):
            self._timeout_s = value.timeout_s
            self._end()
        else:
            self.config.set_result(value)

    def on_disconnect(self) -> None:
        """Handle the end of the channel: record what a router that is gone has not sent."""
        if not self._ended.is_set():
            self._received += read_unsent(self._shared, self._next)
            self._record_received()
        self._end()

    def _end(self) -> None:
        if not self.config.done():
            self.config.set_result(None)
        self._ended.set()
        self._changed.set()

    async def run(self, channel: IpcChannel) -> None:
        """Record until the end, by the router's configuration."""
        config = await self.config
        if config is None:
            return
        bus = KafkaBus(config.bus, "router")
        spool = AsyncSpool(config.spool, limit_bytes=config.spool_bytes) if config.spool is not None else None
        recorder = InProcessRecorder(
            bus,
            capacity=config.capacity,
            capacity_bytes=2 * config.capacity_bytes,
            spool=spool,
            slice_s=0.02,
            on_settled=self._changed.set,
        )
        self._recorder, self._redact = recorder, config.redactor
        self._send_status(channel, recorder)
        self._record_received()
        connecting = asyncio.create_task(_connect_bus(bus))
        lock = await _lock_spool(config.spool)
        await asyncio.wait({connecting}, timeout=_BUS_START_TIMEOUT_S)
        await recorder.start()
        freeze_startup_objects()
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _STATUS_INTERVAL_S)
            self._changed.clear()
            self._send_status(channel, recorder)
        await recorder.stop(self._timeout_s)
        self._send_status(channel, recorder)
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await bus.stop()
        channel.close()
        if lock is not None:
            os.close(lock)

    def _record_received(self) -> None:
        if self._recorder is None:
            return
        events, self._received = self._received, []
        for data in events:
            self._recorder.record(partial(self._deserialize, data), len(data))

    def _deserialize(self, data: bytes) -> Invocation:
        if self._recorder is not None:
            yield_core(len(self._recorder))
        return _invocation(data, self._redact)

    def _send_status(self, channel: IpcChannel, recorder: InProcessRecorder) -> None:
        spool = recorder.spool
        on_disk = None if spool is None else SpoolSnapshot(spool.size, spool.segments, spool.age_s)
        status = WorkerStatus(
            recorder.settled, recorder.bus_unavailable, recorder.counts.plus(RecorderStats()), on_disk
        )
        if status != self._last_status:
            self._last_status = status
            channel.send(status)


def yield_core(queued: int) -> None:
    """Yield this core to a call that waits for it, instead of after the milliseconds of a time slice.

    Beside processes that never pause, one that keeps yielding gets next to no time. So do not yield once many events
    wait: then this process takes its share, and no event is lost.
    """
    if queued < _YIELD_BELOW_EVENTS:
        os.sched_yield()


def _invocation(data: bytes, redact: Redactor | None) -> Invocation:
    return deserialize(data, redact).invocation()


async def _connect_bus(bus: Bus) -> None:
    """Connect to the bus, retrying until it succeeds; the router itself reports errors in the settings."""
    log_throttle = Throttle()
    for pause_s in chain((0.1, 0.2, 0.5, 1.0), repeat(_RECONNECT_S)):
        try:
            await bus.start()
            return
        except Exception as error:  # noqa: BLE001 - events on disk must not wait for a restart
            if log_throttle():
                _log.warning("the bus is not reachable yet, retrying: %r", error)
            await asyncio.sleep(pause_s)


async def _lock_spool(spool: Path | None) -> int | None:
    """Wait until an earlier process has released the spool; return the lock, which ends with this process.

    After a time-out, continue without the lock: this process then uses a folder of its own, and what the other one
    leaves waits there for the next start.
    """
    lock = None if spool is None else _open_lock(spool)
    if lock is None:
        return None
    for _ in range(int(_LOCK_TIMEOUT_S / 0.1)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.1)
        else:
            return lock
    _log.warning("another process still uses the spool in %s", spool)
    os.close(lock)
    return None


def _open_lock(spool: Path) -> int | None:
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(spool / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.error("the spool cannot be used: %s", error)
        return None


async def _main(number: int, *shared: int) -> None:
    worker = RecorderWorker(shared)
    channel = await IpcChannel.connect(socket.socket(fileno=number), worker.on_message, worker.on_disconnect)
    await worker.run(channel)


def _use_batch_scheduling() -> None:
    """Use batch scheduling: the same share of time as others, without preempting a call that just became ready."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Run until the router ends it, or is gone."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    configure_logging()
    _use_batch_scheduling()
    numbers = [int(number) for number in sys.argv[1:]]
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(*numbers))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*numbers))


if __name__ == "__main__":
    main()
