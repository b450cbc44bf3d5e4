"""Access the spools on disk without blocking: this process's own and those taken over from ended processes."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from understudies.router.recording.spool.lease import SpoolLease
from understudies.router.recording.spool.spool import Spool, SpoolOffset
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.throttle import Throttle

T = TypeVar("T")

LIMIT_BYTES: Final = 2 * 1024**3
_SYNC_INTERVAL_S: Final = 1.0

_log = logging.getLogger(__name__)


class AsyncSpool:
    """Messages on disk, oldest first; a thread of its own performs the blocking calls.

    The folders of ended processes come first. Messages are synced to disk `sync_s` seconds after they were written, or
    a little later: none is lost when the process ends, those of the last `sync_s` seconds when the machine crashes.
    Raises OSError if the disk fails.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES, sync_s: float = _SYNC_INTERVAL_S) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._sync_s = sync_s
        self._synced = 0.0
        self._log_throttle = Throttle()
        self._lease: SpoolLease | None = None
        self._own: Spool | None = None
        self._orphans: list[Spool] = []
        self._end: SpoolOffset | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    @property
    def is_empty(self) -> bool:
        """Return whether no messages wait on disk."""
        return all(spool.is_empty for spool in self._spools())

    @property
    def size(self) -> int:
        """The number of bytes waiting on disk."""
        return sum(spool.size for spool in self._spools())

    @property
    def segments(self) -> int:
        return sum(spool.segments for spool in self._spools())

    @property
    def age_s(self) -> float:
        """The age of the oldest file in seconds."""
        return max((spool.age_s for spool in self._spools()), default=0.0)

    async def open(self) -> None:
        """Acquire the spool folders and find what earlier runs left; a second call does nothing."""
        await self._run(self._open)

    async def append(self, messages: Sequence[BusMessage]) -> int:
        """Append messages; return how many found room, always the first ones."""
        return await self._run(lambda: self._append(messages))

    async def read(self, limit: int) -> tuple[Sequence[BusMessage], int]:
        """Return the oldest messages, and the number of unreadable ones skipped before them; none at the end."""
        return await self._run(lambda: self._head(limit))

    async def acknowledge(self) -> None:
        """Acknowledge the messages returned by the last `read`, so that they are not read again."""
        await self._run(self._acknowledge)

    async def close(self) -> None:
        """Sync and release the folders; waiting messages stay for the next run."""
        await self._run(self._close)
        self._thread.shutdown()

    # Runs on the thread

    def _open(self) -> Spool:
        if self._own is None:
            self._lease = self._lease or SpoolLease.acquire(self._folder)
            self._own = Spool(self._lease.own, limit_bytes=self._limit)
            self._orphans = [spool for spool in map(_adopt, self._lease.orphans) if spool is not None]
        return self._own

    def _append(self, messages: Sequence[BusMessage]) -> int:
        appended = self._open().append(messages)
        self._sync_when_due()
        return appended

    def _sync_when_due(self) -> None:
        now = time.monotonic()
        if self._own is not None and now - self._synced >= self._sync_s:
            self._synced = now
            try:
                self._own.sync()
            except OSError as error:
                if self._log_throttle():
                    _log.error("the spool in %s cannot be synced: %s", self._folder, error)

    def _head(self, limit: int) -> tuple[Sequence[BusMessage], int]:
        self._sync_when_due()
        corrupt = 0
        while (spool := self._first_nonempty()) is not None:
            result = spool.read(limit)
            corrupt += result.corrupt
            if result.messages:
                self._end = result.end
                return result.messages, corrupt
            spool.acknowledge(result.end)
        return (), corrupt

    def _acknowledge(self) -> None:
        spool, end = self._first_nonempty(), self._end
        if spool is not None and end is not None:
            spool.acknowledge(end)
        self._end = None

    def _first_nonempty(self) -> Spool | None:
        return next((spool for spool in self._spools() if not spool.is_empty), None)

    def _close(self) -> None:
        spools, self._own, self._orphans = self._spools(), None, []
        try:
            for spool in spools:
                spool.close()
        finally:
            if self._lease is not None:
                self._lease.release()

    def _spools(self) -> list[Spool]:
        return [*self._orphans, *([] if self._own is None else [self._own])]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _adopt(folder: Path) -> Spool | None:
    try:
        return Spool(folder, limit_bytes=0)
    except OSError as error:
        _log.error("the spool in %s, left by an ended process, cannot be read: %s", folder, error)
        return None
