"""Tells the online state what was spent, behind the calls' backs, until it has heard."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from understudies.router.money.amounts import from_nanos
from understudies.router.money.book import LocalUsage
from understudies.runtime import Throttle
from understudies.runtime.online import BudgetCounter, BudgetHold, CounterSettlement, OnlineState, OnlineUnavailable

_MAX_HOLDS_PER_REPORT: Final = 256
"""Most holds that one settlement ends: Redis does nothing else meanwhile."""

_log = logging.getLogger(__name__)


class UsageReporter:
    """Tells totals, not amounts: what waits is one number for each purse, and the holds of calls that are over.

    What was spent is told as soon as the last telling is done, so under load one telling settles many calls.
    """

    def __init__(self, online: OnlineState, usage: LocalUsage, source: str, *, pause_s: float = 0.5) -> None:
        self._online = online
        self._usage = usage
        self._source = source
        self._pause_s = pause_s
        self._waiting: dict[str, list[BudgetHold]] = {}
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._log_throttle = Throttle()

    def __len__(self) -> int:
        """Purses that wait for something to be told."""
        return len(self._waiting)

    def report(self, keys: Iterable[str], ended: BudgetHold | None = None) -> None:
        """Tell the totals of purses soon, and that a hold on each of them has ended."""
        for key in keys:
            holds = self._waiting.setdefault(key, [])
            if ended is not None:
                holds.append(ended)
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """The online state has just answered: no need to pause before it is asked again."""
        self._woken.set()

    async def flush(self) -> None:
        """Return when nothing waits."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self, timeout_s: float) -> None:
        """Wait until nothing waits, within a time-out; what is not told then is logged, and lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        entries = [self._usage[key] for key in self._waiting if key in self._usage]
        if lost := [entry.spent - entry.reported for entry in entries if entry.spent > entry.reported]:
            _log.error(
                "the end came before the online state could be told what was spent from %d budgets, up to $%s each",
                len(lost),
                f"{from_nanos(max(lost)).normalize():f}",
            )

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._report_batch()
        finally:
            self._task = None

    async def _report_batch(self) -> None:
        taken = self._take_batch()
        if not taken:
            return
        purses = [BudgetCounter(key, total=self._usage[key].spent) for key in taken]
        settlements = [CounterSettlement(purse, tuple(taken[purse.key])) for purse in purses]
        keep_s = max(self._usage[key].retention_s for key in taken)
        try:
            await self._online.settle(self._source, settlements, retention_s=keep_s)
        except OnlineUnavailable as error:
            self._requeue(taken)
            if self._log_throttle():
                _log.warning("%d budgets wait to be told what was spent: %s", len(self._waiting), error)
            await self._pause()
        except BaseException:
            self._requeue(taken)
            raise
        else:
            for purse in purses:
                entry = self._usage[purse.key]
                entry.reported = max(entry.reported, purse.total)

    async def _pause(self) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._woken.wait()

    def _take_batch(self) -> dict[str, list[BudgetHold]]:
        """What is told next, and no longer waits."""
        taken: dict[str, list[BudgetHold]] = {}
        room = _MAX_HOLDS_PER_REPORT
        for key in list(self._waiting):
            if room <= 0:
                break
            holds = self._waiting.pop(key)
            if key not in self._usage:
                continue
            taken[key], rest = holds[:room], holds[room:]
            if rest:
                self._waiting[key] = rest
            room -= 1 + len(taken[key])
        return taken

    def _requeue(self, taken: dict[str, list[BudgetHold]]) -> None:
        for key, holds in taken.items():
            self._waiting[key] = holds + self._waiting.get(key, [])
