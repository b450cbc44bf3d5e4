"""What waits on disk, as the recorder uses it: without blocking, this process's own spool and those it took over."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from understudies.router.recording.claim import Claim
from understudies.router.recording.spool import Place, Spool
from understudies.runtime import Message, Seldom

T = TypeVar("T")

LIMIT_BYTES: Final = 2 * 1024**3
_SYNC_S: Final = 1.0

_log = logging.getLogger(__name__)


class Backlog:
    """Messages on disk, oldest first; a thread of its own does what blocks.

    The folders of processes that ended come first. Messages are synced to the disk `sync_s` seconds after they were
    written, or a little later: the end of the process loses none, that of the machine those of so many seconds.
    Raises OSError where the disk does not play along.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES, sync_s: float = _SYNC_S) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._sync_s = sync_s
        self._synced = 0.0
        self._complain = Seldom()
        self._claim: Claim | None = None
        self._own: Spool | None = None
        self._orphans: list[Spool] = []
        self._end: Place | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")

    @property
    def empty(self) -> bool:
        """Whether nothing waits on disk."""
        return all(spool.empty for spool in self._spools())

    @property
    def size(self) -> int:
        """Bytes that wait on disk."""
        return sum(spool.size for spool in self._spools())

    @property
    def segments(self) -> int:
        return sum(spool.segments for spool in self._spools())

    @property
    def age_s(self) -> float:
        """How long ago the oldest file was begun."""
        return max((spool.age_s for spool in self._spools()), default=0.0)

    async def open(self) -> None:
        """Find what was left; a second call does nothing."""
        await self._run(self._opened)

    async def append(self, messages: Sequence[Message]) -> int:
        """Write messages behind all others; returns how many found room, all before the first that did not."""
        return await self._run(lambda: self._append(messages))

    async def head(self, most: int) -> tuple[Sequence[Message], int]:
        """The oldest messages, and how many unreadable ones were passed over before them; none where all are done."""
        return await self._run(lambda: self._head(most))

    async def acknowledge(self) -> None:
        """Never read again what `head` gave last."""
        await self._run(self._acknowledge)

    async def close(self) -> None:
        """Sync, and let others have the folders; what waits stays for the next run."""
        await self._run(self._close)
        self._thread.shutdown()

    # On the thread

    def _opened(self) -> Spool:
        if self._own is None:
            self._claim = self._claim or Claim.of(self._folder)
            self._own = Spool(self._claim.own, limit_bytes=self._limit)
            self._orphans = [spool for spool in map(_adopted, self._claim.orphans) if spool is not None]
        return self._own

    def _append(self, messages: Sequence[Message]) -> int:
        taken = self._opened().append(messages)
        self._sync_when_due()
        return taken

    def _sync_when_due(self) -> None:
        now = time.monotonic()
        if self._own is not None and now - self._synced >= self._sync_s:
            self._synced = now
            try:
                self._own.sync()
            except OSError as error:
                if self._complain():
                    _log.error("the spool in %s cannot be synced: %s", self._folder, error)

    def _head(self, most: int) -> tuple[Sequence[Message], int]:
        self._sync_when_due()
        spoilt = 0
        while (spool := self._first()) is not None:
            found = spool.head(most)
            spoilt += found.spoilt
            if found.messages:
                self._end = found.end
                return found.messages, spoilt
            spool.acknowledge(found.end)
        return (), spoilt

    def _acknowledge(self) -> None:
        spool, end = self._first(), self._end
        if spool is not None and end is not None:
            spool.acknowledge(end)
        self._end = None

    def _first(self) -> Spool | None:
        return next((spool for spool in self._spools() if not spool.empty), None)

    def _close(self) -> None:
        spools, self._own, self._orphans = self._spools(), None, []
        try:
            for spool in spools:
                spool.close()
        finally:
            if self._claim is not None:
                self._claim.release()

    def _spools(self) -> list[Spool]:
        return [*self._orphans, *([] if self._own is None else [self._own])]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _adopted(folder: Path) -> Spool | None:
    try:
        return Spool(folder, limit_bytes=0)
    except OSError as error:
        _log.error("the spool in %s, left by a process that ended, cannot be read: %s", folder, error)
        return None
