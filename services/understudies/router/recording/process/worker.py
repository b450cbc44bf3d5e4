"""`python -m understudies.router.recording.process.worker SOCKET`: the process that records for a router.

It is started by the router, which gives it the number of a socket, and ends when told to or when the router is gone:
then it still delivers what it has, or puts it on disk. Signals are for the router alone.
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
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor
from understudies.router.recording.base import RecorderStats, SpoolSnapshot
from understudies.router.recording.process.ipc import IpcChannel, Shutdown, WorkerConfig, WorkerStatus
from understudies.router.recording.process.serialization import deserialize
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.bus import Bus
from understudies.runtime.logs import configure_logging
from understudies.runtime.process import freeze_startup_objects
from understudies.runtime.throttle import Throttle

_STATUS_INTERVAL_S: Final = 0.25
_BUS_START_TIMEOUT_S: Final = 2.0
_ORPHAN_DRAIN_S: Final = 10.0
"""How long it delivers what it has when its router is gone."""
_LOCK_TIMEOUT_S: Final = 20.0
_RECONNECT_S: Final = 2.0
_YIELD_BELOW_EVENTS: Final = 300
"""Events up to which it keeps up."""

_log = logging.getLogger(__name__)


class RecorderWorker:
    """Records what comes over a line, and reports."""

    def __init__(self) -> None:
        self.config: asyncio.Future[WorkerConfig | None] = asyncio.get_running_loop().create_future()
        self._received: list[bytes] = []
        self._recorder: InProcessRecorder | None = None
        self._redact: Redactor | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._timeout_s = _ORPHAN_DRAIN_S
        self._last_status: WorkerStatus | None = None

    def on_message(self, value: Any) -> None:
        """Take what the router says."""
        if isinstance(value, list):
            self._received += value
            self._record_received()
        elif isinstance(value, Shutdown):
            self._timeout_s = value.timeout_s
            self.on_disconnect()
        else:
            self.config.set_result(value)

    def on_disconnect(self) -> None:
        """Nothing more comes."""
        if not self.config.done():
            self.config.set_result(None)
        self._ended.set()
        self._changed.set()

    async def run(self, channel: IpcChannel) -> None:
        """Record until the end, as the router's configuration says."""
        brief = await self.config
        if brief is None:
            return
        bus = Bus(brief.bus, "router")
        backlog = AsyncSpool(brief.spool, limit_bytes=brief.spool_bytes) if brief.spool is not None else None
        recorder = InProcessRecorder(
            bus,
            capacity=brief.capacity,
            capacity_bytes=2 * brief.capacity_bytes,
            spool=backlog,
            slice_s=0.02,
            on_settled=self._changed.set,
        )
        self._recorder, self._redact = recorder, default_redactor if brief.redact else None
        self._send_status(channel, recorder)
        self._record_received()
        joining = asyncio.create_task(_connect_bus(bus))
        lock = await _lock_spool(brief.spool)
        await asyncio.wait({joining}, timeout=_BUS_START_TIMEOUT_S)
        await recorder.start()
        freeze_startup_objects()
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _STATUS_INTERVAL_S)
            self._changed.clear()
            self._send_status(channel, recorder)
        await recorder.stop(self._timeout_s)
        self._send_status(channel, recorder)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await bus.stop()
        channel.close()
        if lock is not None:
            os.close(lock)

    def _record_received(self) -> None:
        if self._recorder is None:
            return
        given, self._received = self._received, []
        for data in given:
            self._recorder.record(partial(self._deserialize, data), len(data))

    def _deserialize(self, data: bytes) -> Invocation:
        if self._recorder is not None:
            yield_core(len(self._recorder))
        return _invocation(data, self._redact)

    def _send_status(self, line: IpcChannel, recorder: InProcessRecorder) -> None:
        disk = recorder.spool
        on_disk = None if disk is None else SpoolSnapshot(disk.size, disk.segments, disk.age_s)
        report = WorkerStatus(
            recorder.settled, recorder.bus_unavailable, recorder.counts.plus(RecorderStats()), on_disk
        )
        if report != self._last_status:
            self._last_status = report
            line.send(report)


def yield_core(queued: int) -> None:
    """Let a call that waits for this core have it now, not after the milliseconds of a time slice.

    Beside others that never stop, whoever yields again and again has next to no time. So nobody is let by once many
    events wait: then this process takes its share, and none of them is lost.
    """
    if queued < _YIELD_BELOW_EVENTS:
        os.sched_yield()


def _invocation(data: bytes, redact: Redactor | None) -> Invocation:
    return deserialize(data, redact).invocation()


async def _connect_bus(bus: Bus) -> None:
    """Connect, as often as it takes; the router itself says what is wrong with its settings."""
    complain = Throttle()
    for pause_s in chain((0.1, 0.2, 0.5, 1.0), repeat(_RECONNECT_S)):
        try:
            await bus.start()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, events must not wait on disk until a restart
            if complain():
                _log.warning("no bus yet, and it is tried again: %r", error)
            await asyncio.sleep(pause_s)


async def _lock_spool(spool: Path | None) -> int | None:
    """Wait until the process of an earlier router is done with the spool; returns the lock, which ends with this one.

    After a while it goes on all the same: then it takes a folder of its own, and what the other one leaves waits there
    for the next start.
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
    _log.warning("another process still has the spool in %s", spool)
    os.close(lock)
    return None


def _open_lock(spool: Path) -> int | None:
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(spool / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.error("the spool cannot be used: %s", error)
        return None


async def _main(number: int) -> None:
    apart = RecorderWorker()
    line = await IpcChannel.connect(socket.socket(fileno=number), apart.on_message, apart.on_disconnect)
    await apart.run(line)


def _use_batch_scheduling() -> None:
    """Have no less time than others, but never take a core from a call that has only just begun to need it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Run until the router says so, or is gone."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    configure_logging()
    _use_batch_scheduling()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(int(sys.argv[1])))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
