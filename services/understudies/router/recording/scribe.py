"""The scribe: hands events to a process that records them, so that no call shares a core with its own recording."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from understudies.events import Invocation
from understudies.router.recording.counts import Counts, Loss
from understudies.router.recording.line import Line
from understudies.router.recording.outstanding import Outstanding, Packed
from understudies.router.recording.recorder import Recorder
from understudies.router.recording.recording import Waiting
from understudies.router.recording.report import Brief, Finish, Report
from understudies.runtime import Seldom

_LINGER_S: Final = 0.01
_PAUSE_S: Final = (0.1, 5.0)
_START_S: Final = 10.0
_GRACE_S: Final = 2.0
"""How much longer than it was given the process may take to end."""
_FRUITLESS: Final = 3
"""So many processes in a row that end before a batch is settled say that it is the batch; so many that end before they
say anything, that there will be none."""

_log = logging.getLogger(__name__)


class Scribe:
    """Events wait here, packed, until the process that records has delivered them or put them on disk.

    Where that process ends, another one is given them again; where this one ends, the other one finishes what it has.
    So each event arrives at least once and with its id, those of one task in order, whichever of the two ends.
    Once `brief.capacity` wait, the newest are dropped and counted. Where no process can be kept running, the events
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
        brief: Brief,
        command: Sequence[str],
        *,
        unpack: Callable[[Packed], Invocation],
        instead: Callable[[], Recorder],
        linger_s: float = _LINGER_S,
        pause_s: tuple[float, float] = _PAUSE_S,
    ) -> None:
        self.restarts = 0
        """How many processes ended that should have gone on."""
        self._brief = brief
        self._command = command
        self._unpack = unpack
        self._make = instead
        self._instead: Recorder | None = None
        self._linger_s = linger_s
        self._first_pause_s, self._longest_pause_s = pause_s
        self._own = Counts()
        self._earlier = Counts()
        self._report = Report(0, False, Counts(), None)
        self._waiting = Outstanding(brief.capacity, brief.capacity_bytes)
        self._heard = False
        """Whether the process of now has said anything."""
        self._dumb = self._fruitless = 0
        self._timer: asyncio.TimerHandle | None = None
        self._line: Line | None = None
        self._life: asyncio.Task[None] | None = None
        self._until: float | None = None
        self._idle = asyncio.Event()
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._complain = Seldom()

    def __len__(self) -> int:
        """How many events are in memory."""
        return len(self._waiting) + (len(self._instead) if self._instead else 0)

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return self._waiting.size + (self._instead.bytes if self._instead else 0)

    @property
    def counts(self) -> Counts:
        """What became of the events."""
        there = self._earlier.plus(self._report.counts)
        if self._instead is not None:
            there = there.plus(self._instead.counts)
        there.recorded = 0
        return self._own.plus(there)

    @property
    def dropped(self) -> int:
        """How many events are lost."""
        return self.counts.dropped

    @property
    def away(self) -> bool:
        """Whether the bus did not take the last events."""
        return self._instead.away if self._instead else self._report.away

    @property
    def backlog(self) -> Waiting | None:
        """What waits on disk, as last heard."""
        return self._instead.backlog if self._instead else self._report.backlog

    def record(self, event: Packed) -> None:
        """Take a packed event; never waits."""
        self._own.recorded += 1
        if self._instead is not None:
            self._instead.record(partial(self._unpack, event), len(event))
        elif not self._waiting.add(event):
            self._lose("buffer_full", 1)
        elif self._timer is None:
            self._idle.clear()
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._send)

    def cannot_record(self) -> None:
        """Count a call that cannot even be packed."""
        self._own.recorded += 1
        self._own.unrecordable += 1

    async def start(self) -> None:
        """Start the process, and wait until it runs: what it was not sent yet would end with this one."""
        if self._life is None:
            self._life = asyncio.get_running_loop().create_task(self._live())
            ready = asyncio.ensure_future(self._ready.wait())
            await asyncio.wait({ready}, timeout=_START_S)
            ready.cancel()

    async def flush(self) -> None:
        """Wait until nothing is left in memory: it is delivered, or on disk."""
        self._send()
        if self._waiting:
            await self._idle.wait()
        if self._instead is not None:
            await self._instead.flush()

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
        self._until = asyncio.get_running_loop().time() + timeout_s
        self._stopping.set()
        self._send()
        if self._life is not None:
            if self._line is not None:
                self._line.send(Finish(timeout_s))
            await asyncio.wait({self._life}, timeout=timeout_s + _GRACE_S)
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
        if self._waiting:
            await self._take_over()
        if self._instead is not None:
            await self._instead.stop(max(_GRACE_S, self._left_s()))

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._line is not None and (batch := self._waiting.take()):
            self._line.send(batch)

    def _hear(self, report: Report) -> None:
        self._heard = True
        self._ready.set()
        self._report = report
        self._waiting.settle(report.settled)
        if not self._waiting:
            self._idle.set()

    def _lose(self, reason: Loss, count: int) -> None:
        self._own.lost[reason] += count
        if self._complain():
            _log.error("%d events are lost so far, by reason %s", self.dropped, dict(self.counts.lost))

    async def _live(self) -> None:
        """Have a process that records, and another one where it ends, until told to stop."""
        pause_s = self._first_pause_s
        while self._instead is None:
            code = await self._run()
            if self._stopping.is_set() and (code == 0 or self._left_s() <= 0):
                return
            self.restarts += 1
            _log.error("the process that records ended with %s; another one is given what it had", code)
            await self._mend()
            pause_s = min(pause_s * 2, self._longest_pause_s) if self._dumb + self._fruitless else self._first_pause_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _mend(self) -> None:
        """Do something about processes that end again and again."""
        self._dumb = 0 if self._heard else self._dumb + 1
        self._fruitless = 0 if self._waiting.settled or not self._heard else self._fruitless + 1
        if self._dumb >= _FRUITLESS:
            _log.error("no process that records can be kept running; the router records for itself from now on")
            await self._take_over()
        elif self._fruitless >= _FRUITLESS:
            self._fruitless = 0
            self._lose("unwritable", self._waiting.drop())

    async def _take_over(self) -> None:
        """Record here what waits, and what is still to come."""
        self._instead = recorder = self._make()
        for event in self._waiting.clear():
            recorder.record(partial(self._unpack, event), len(event))
        self._idle.set()
        self._ready.set()
        await recorder.start()

    async def _run(self) -> int | None:
        """One process from its start to its end; returns its exit code, None where it could not be started."""
        self._heard = False
        unsettled = self._waiting.again()
        ours, theirs = socket.socketpair()
        ended = asyncio.Event()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command, str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
                )
            line = await Line.over(ours, self._hear, ended.set)
        except OSError as error:
            ours.close()
            _log.error("no process that records can be started: %s", error)
            return None
        try:
            line.send(self._brief)
            for batch in unsettled:
                line.send(batch)
            self._line = line
            self._send()
            if self._until is not None:
                line.send(Finish(max(0.0, self._left_s())))
            code = await process.wait()
            # What it said last comes before the end of the line.
            await ended.wait()
        finally:
            self._line = None
            line.close()
            if process.returncode is None:
                process.kill()
            self._earlier = self._earlier.plus(self._report.counts)
            self._report = self._report._replace(settled=0, counts=Counts())
        return code

    def _left_s(self) -> float:
        return 0.0 if self._until is None else self._until - asyncio.get_running_loop().time()
