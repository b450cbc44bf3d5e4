"""`python -m understudies.router.apart SOCKET`: the process that records for a router.

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

from understudies.client.redaction import Redactor, default_redactor
from understudies.events import Invocation
from understudies.router.packing import unpacked
from understudies.router.recording import Backlog, Recorder
from understudies.router.recording.counts import Counts, OnDisk
from understudies.router.recording.line import Line
from understudies.router.recording.report import Brief, Finish, Report
from understudies.runtime import Bus, Seldom
from understudies.runtime.garbage import settle
from understudies.runtime.logs import log_to_stderr

_REPORT_S: Final = 0.25
_FOR_THE_BUS_S: Final = 2.0
_ALONE_S: Final = 10.0
"""How long it delivers what it has when its router is gone."""
_PREDECESSOR_S: Final = 20.0
_AGAIN_S: Final = 2.0
_FEW: Final = 300
"""Events up to which it keeps up."""

_log = logging.getLogger(__name__)


class Apart:
    """Records what comes over a line, and reports."""

    def __init__(self) -> None:
        self.briefed: asyncio.Future[Brief | None] = asyncio.get_running_loop().create_future()
        self._given: list[bytes] = []
        self._recorder: Recorder | None = None
        self._redact: Redactor | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._timeout_s = _ALONE_S
        self._told: Report | None = None

    def hear(self, value: Any) -> None:
        """Take what the router says."""
        if isinstance(value, list):
            self._given += value
            self._take()
        elif isinstance(value, Finish):
            self._timeout_s = value.timeout_s
            self.end()
        else:
            self.briefed.set_result(value)

    def end(self) -> None:
        """Nothing more comes."""
        if not self.briefed.done():
            self.briefed.set_result(None)
        self._over.set()
        self._news.set()

    async def run(self, line: Line) -> None:
        """Record until the end, as the router's brief says."""
        brief = await self.briefed
        if brief is None:
            return
        bus = Bus(brief.bus, "router")
        backlog = Backlog(brief.spool, limit_bytes=brief.spool_bytes) if brief.spool is not None else None
        recorder = Recorder(
            bus,
            capacity=brief.capacity,
            capacity_bytes=2 * brief.capacity_bytes,
            backlog=backlog,
            slice_s=0.02,
            on_settled=self._news.set,
        )
        self._recorder, self._redact = recorder, default_redactor if brief.redact else None
        self._report(line, recorder)
        self._take()
        joining = asyncio.create_task(_join(bus))
        lock = await _alone(brief.spool)
        await asyncio.wait({joining}, timeout=_FOR_THE_BUS_S)
        await recorder.start()
        settle()
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _REPORT_S)
            self._news.clear()
            self._report(line, recorder)
        await recorder.stop(self._timeout_s)
        self._report(line, recorder)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await bus.stop()
        line.close()
        if lock is not None:
            os.close(lock)

    def _take(self) -> None:
        if self._recorder is None:
            return
        given, self._given = self._given, []
        for data in given:
            self._recorder.record(partial(self._event, data), len(data))

    def _event(self, data: bytes) -> Invocation:
        if self._recorder is not None:
            give_way(len(self._recorder))
        return _invocation(data, self._redact)

    def _report(self, line: Line, recorder: Recorder) -> None:
        disk = recorder.backlog
        on_disk = None if disk is None else OnDisk(disk.size, disk.segments, disk.age_s)
        report = Report(recorder.settled, recorder.away, recorder.counts.plus(Counts()), on_disk)
        if report != self._told:
            self._told = report
            line.send(report)


def give_way(waiting: int) -> None:
    """Let a call that waits for this core have it now, not after the milliseconds of a time slice.

    Beside others that never stop, whoever yields again and again has next to no time. So nobody is let by once many
    events wait: then this process takes its share, and none of them is lost.
    """
    if waiting < _FEW:
        os.sched_yield()


def _invocation(data: bytes, redact: Redactor | None) -> Invocation:
    return unpacked(data, redact).invocation()


async def _join(bus: Bus) -> None:
    """Connect, as often as it takes; the router itself says what is wrong with its settings."""
    complain = Seldom()
    for pause_s in chain((0.1, 0.2, 0.5, 1.0), repeat(_AGAIN_S)):
        try:
            await bus.start()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, events must not wait on disk until a restart
            if complain():
                _log.warning("no bus yet, and it is tried again: %r", error)
            await asyncio.sleep(pause_s)


async def _alone(spool: Path | None) -> int | None:
    """Wait until the process of an earlier router is done with the spool; returns the lock, which ends with this one.

    After a while it goes on all the same: then it takes a folder of its own, and what the other one leaves waits there
    for the next start.
    """
    lock = None if spool is None else _opened(spool)
    if lock is None:
        return None
    for _ in range(int(_PREDECESSOR_S / 0.1)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.1)
        else:
            return lock
    _log.warning("another process still has the spool in %s", spool)
    os.close(lock)
    return None


def _opened(spool: Path) -> int | None:
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(spool / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.error("the spool cannot be used: %s", error)
        return None


async def _main(number: int) -> None:
    apart = Apart()
    line = await Line.over(socket.socket(fileno=number), apart.hear, apart.end)
    await apart.run(line)


def _ask_for_no_haste() -> None:
    """Have no less time than others, but never take a core from a call that has only just begun to need it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Run until the router says so, or is gone."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    log_to_stderr()
    _ask_for_no_haste()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(int(sys.argv[1])))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
