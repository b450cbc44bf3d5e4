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
    """One counter as known to this process, in billionths of a dollar.

    `spent` is all that the process has spent from it, `reported` the part that the online state has recorded, `held`
    the estimated cost of its `open_holds` in flight, and `spent_elsewhere` what other processes had spent as of the
    last update.
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
        """The spending and holds known to this process."""
        return self.spent + self.held + self.spent_elsewhere

    def add_hold(self, nanos: int) -> None:
        """Add the hold of a reservation."""
        self.held += nanos
        self.open_holds += 1

    def release_hold(self, nanos: int) -> None:
        """Release the hold of a finished call."""
        self.held -= nanos
        self.open_holds -= 1

    def reconcile(self, reported: int, state: CounterState) -> None:
        """Update from the counter's state after `reported` was reported."""
        self.reported = max(self.reported, reported)
        # The state includes what this process reported and the server kept; the rest is from other processes.
        self.spent_elsewhere = max(0, state.spent - self.reported)


class LocalUsage:
    """The usage of today and yesterday; older entries are kept only until all of them is reported."""

    def __init__(self) -> None:
        self._usage: dict[str, BudgetUsage] = {}
        self._day = ""

    def __len__(self) -> int:
        return len(self._usage)

    def __contains__(self, key: str) -> bool:
        return key in self._usage

    def __getitem__(self, key: str) -> BudgetUsage:
        return self._usage[key]

    def get_or_create(self, key: str, day: str, retention_s: float) -> BudgetUsage:
        """Return the entry of a counter, and create it if there is none."""
        if day > self._day:
            self._drop_before(self._day)
            self._day = day
        entry = self._usage.get(key)
        if entry is None:
            entry = self._usage[key] = BudgetUsage(day, retention_s)
        return entry

    def _drop_before(self, day: str) -> None:
        retained = {key: e for key, e in self._usage.items() if e.day >= day or e.open_holds or e.spent != e.reported}
        self._usage = retained


_MAX_HOLDS_PER_REPORT: Final = 256
"""Most holds that one settlement ends: Redis is blocked meanwhile."""

_log = logging.getLogger(__name__)


class UsageReporter:
    """Report totals, not amounts: the queue holds one number for each counter, and the holds of finished calls.

    A report follows as soon as the previous one is done, so under load one report settles many calls.
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
        """The number of counters that wait to be reported."""
        return len(self._waiting)

    def report(self, keys: Iterable[str], ended: BudgetHold | None = None) -> None:
        """Report the totals of counters soon, and that a hold on each of them has ended."""
        for key in keys:
            holds = self._waiting.setdefault(key, [])
            if ended is not None:
                holds.append(ended)
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Skip the pause before the next report, because the online state has just answered."""
        self._woken.set()

    async def flush(self) -> None:
        """Wait until everything is reported."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self, timeout_s: float) -> None:
        """Wait until everything is reported, within a time-out; log the rest, which is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        entries = [self._usage[key] for key in self._waiting if key in self._usage]
        if lost := [entry.spent - entry.reported for entry in entries if entry.spent > entry.reported]:
            _log.error(
                "the spending of %d budgets could not be reported to the online state before the end, up to $%s each",
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
        batch = self._take_batch()
        if not batch:
            return
        counters = [BudgetCounter(key, total=self._usage[key].spent) for key in batch]
        settlements = [CounterSettlement(counter, tuple(batch[counter.key])) for counter in counters]
        retention_s = max(self._usage[key].retention_s for key in batch)
        try:
            await self._online.settle(self._source, settlements, retention_s=retention_s)
        except OnlineUnavailable as error:
            self._requeue(batch)
            if self._log_throttle():
                _log.warning("the spending of %d budgets waits to be reported: %s", len(self._waiting), error)
            await self._pause()
        except BaseException:
            self._requeue(batch)
            raise
        else:
            for counter in counters:
                entry = self._usage[counter.key]
                entry.reported = max(entry.reported, counter.total)

    async def _pause(self) -> None:
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._woken.wait()

    def _take_batch(self) -> dict[str, list[BudgetHold]]:
        """Take the next batch to report off the queue."""
        batch: dict[str, list[BudgetHold]] = {}
        room = _MAX_HOLDS_PER_REPORT
        for key in list(self._waiting):
            if room <= 0:
                break
            holds = self._waiting.pop(key)
            if key not in self._usage:
                continue
            batch[key], rest = holds[:room], holds[room:]
            if rest:
                self._waiting[key] = rest
            room -= 1 + len(batch[key])
        return batch

    def _requeue(self, batch: dict[str, list[BudgetHold]]) -> None:
        for key, holds in batch.items():
            self._waiting[key] = holds + self._waiting.get(key, [])
