"""Log every change of a task's phase, and a summary of all tasks every hour."""

import asyncio
import logging
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from understudies.runtime.clock import Clock
from understudies.runtime.throttle import Throttle
from understudies.status.reader import StatusReader
from understudies.status.standing import Phase

_log = logging.getLogger(__name__)

_SUMMARY_INTERVAL: Final = timedelta(hours=1)


class _Totals(NamedTuple):
    calls: int = 0
    served: int = 0
    saved: Decimal = Decimal(0)


class PhaseLog:
    """Log what changed between two checks; the first check logs where every task begins."""

    def __init__(self, reader: StatusReader) -> None:
        self._reader = reader
        self._phases: dict[str, Phase] = {}
        self._totals = _Totals()
        self._summarized_at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Log one line for each task whose phase is another than at the last check, and the summary once it is due."""
        for task in sorted(self._reader.budget.tasks):
            phase = self._reader.phase(task, now)
            before = self._phases.get(task)
            if phase != before:
                change = phase if before is None else f"{before} → {phase}"
                _log.info("task %s: %s; waits for %s", task, change, self._reader.waits_for(task, now))
            self._phases[task] = phase
        if self._summarized_at is None:
            self._summarized_at, self._totals = now, self._sum()
        elif now - self._summarized_at >= _SUMMARY_INTERVAL:
            self._summarize(now)

    def _summarize(self, now: datetime) -> None:
        before, self._totals, self._summarized_at = self._totals, self._sum(), now
        counts = Counter(self._phases.values())
        phases = ", ".join(f"{count} {phase}" for phase, count in counts.most_common()) or "none yet"
        calls, served = self._totals.calls - before.calls, self._totals.served - before.served
        _log.info(
            "tasks: %s; last hour: %d calls, %d served by students, $%.2f saved; to date: $%.2f saved",
            phases, calls, served, self._totals.saved - before.saved, self._totals.saved,
        )  # fmt: skip

    def _sum(self) -> _Totals:
        ledgers = [state.ledger for state in self._reader.budget.tasks.values()]
        return _Totals(
            sum(ledger.calls for ledger in ledgers),
            sum(ledger.served for ledger in ledgers),
            sum((ledger.savings for ledger in ledgers), Decimal(0)),
        )


async def keep_logging(reader: StatusReader, clock: Clock, seconds: float) -> None:
    """Check every `seconds` until cancelled; an error is logged and stops nothing."""
    phases, throttle = PhaseLog(reader), Throttle()
    while True:
        try:
            phases.check(clock.now())
        except Exception:  # noqa: BLE001 - what is only told must not stop the services
            if throttle():
                _log.exception("the phases of the tasks could not be read")
        await asyncio.sleep(seconds)
