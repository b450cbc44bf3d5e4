"""Track what this process has spent and holds, and report it to the online state in the background."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from understudies.router.budgets.units import from_nanos
from understudies.runtime.online.base import (
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    CounterState,
    OnlineState,
    OnlineUnavailable,
)
from understudies.runtime.throttle import Throttle


@dataclass(slots=True)
class BudgetUsage:
    """One counter as this process knows it, in billionths of a dollar.

    `spent` is all that the process has spent from it, `reported` how much of that the online state has taken note of,
    `held` what its `open_holds` in flight may cost, and `spent_elsewhere` what other processes had spent when last
    heard of.
    """

    day: str
    retention_s: float
    spent: int = 0
    reported: int = 0
    held: int = 0
    open_holds: int = 0
    spent_elsewhere: int = 0

    @property
    def used(self) -> int:
        """What is spent or may be, as far as this process knows."""
        return self.spent + self.held + self.spent_elsewhere

    def add_hold(self, nanos: int) -> None:
        """A call has leave to spend so much."""
        self.held += nanos
        self.open_holds += 1

    def release_hold(self, nanos: int) -> None:
        """A call is over that had leave to spend so much."""
        self.held -= nanos
        self.open_holds -= 1

    def reconcile(self, reported: int, state: CounterState) -> None:
        """Take note of how the counter stands after `reported` was reported."""
        self.reported = max(self.reported, reported)
        # What the process told before and the server kept is in there too; all beyond it is of others.
        self.spent_elsewhere = max(0, state.spent - self.reported)


class LocalUsage:
    """The entries of today and yesterday; older ones are kept only until everything in them is told."""

    def __init__(self) -> None:
        self._usage: dict[str, BudgetUsage] = {}
        self._day = ""

    def __len__(self) -> int:
        return len(self._usage)

    def __contains__(self, key: str) -> bool:
        return key in self._usage

    def __getitem__(self, key: str) -> BudgetUsage:
        return self._usage[key]

    def get_or_create(self, key: str, day: str, keep_s: float) -> BudgetUsage:
        """The entry of a counter, made where there is none."""
        if day > self._day:
            self._forget_before(self._day)
            self._day = day
        entry = self._usage.get(key)
        if entry is None:
            entry = self._usage[key] = BudgetUsage(day, keep_s)
        return entry

    def _forget_before(self, day: str) -> None:
        kept = {key: e for key, e in self._usage.items() if e.day >= day or e.open_holds or e.spent != e.reported}
        self._usage = kept


_MAX_HOLDS_PER_REPORT: Final = 256
"""Most holds that one settlement ends: Redis does nothing else meanwhile."""

_log = logging.getLogger(__name__)


class UsageReporter:
    """Tells totals, not amounts: what waits is one number for each counter, and the holds of calls that are over.

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
        """Counters that wait for something to be told."""
        return len(self._waiting)

    def report(self, keys: Iterable[str], ended: BudgetHold | None = None) -> None:
        """Tell the totals of counters soon, and that a hold on each of them has ended."""
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
