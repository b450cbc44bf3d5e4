"""Keep the totals of calls by hour and of verdicts by day, so that nobody who looks has to read every event."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from understudies.observer.totals.calls import CALL_TOTALS
from understudies.observer.totals.rollup import refresh_rollup
from understudies.observer.totals.verdicts import TENANT_VERDICT_TOTALS, VERDICT_TOTALS, recount_changed_thresholds
from understudies.runtime.store import Store

__all__ = ["forget_totals", "refresh_tenant_totals", "refresh_totals"]

_TENANTS: Final = "SELECT uniqExact(tenant) AS n FROM invocation_hours"
# The last one says what is counted.
_TABLES: Final = ("invocation_hours", "verdict_days", "tenant_verdict_days", "rollup_progress")
_MANY_EVENTS: Final = 100_000
_EVENTS_A_SECOND: Final = 20_000
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(slots=True)
class _Pace:
    """Whose turn it is to refresh the totals of a store, and from when on it may be done again."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0


_PACES: Final[WeakKeyDictionary[Store, _Pace]] = WeakKeyDictionary()


async def refresh_totals(store: Store) -> None:
    """Bring all totals up to what is stored; quick unless much was stored since the last time.

    Whoever looks while another refresh of this process runs waits for it, rather than doing the same. Where many events
    come, some seconds pass between two refreshes, so that storing them is not held up.
    """
    pace = _PACES.setdefault(store, _Pace())
    async with pace.lock:
        if time.monotonic() < pace.not_before:
            return
        stored = await refresh_rollup(store, CALL_TOTALS) + await refresh_rollup(store, VERDICT_TOTALS)
        await recount_changed_thresholds(store, VERDICT_TOTALS)
        pace.not_before = time.monotonic() + pause_s(stored)


async def refresh_tenant_totals(store: Store) -> None:
    """Bring the verdicts by tenant up to what is stored, where several tenants call."""
    async with _PACES.setdefault(store, _Pace()).lock:
        (row,) = await store.query(_TENANTS)
        if row["n"] > 1:
            await refresh_rollup(store, TENANT_VERDICT_TOTALS)
            await recount_changed_thresholds(store, TENANT_VERDICT_TOTALS)


async def forget_totals(store: Store) -> None:
    """Remove all totals, as events were deleted: of two counts the larger one holds. The next refresh counts anew."""
    pace = _PACES.setdefault(store, _Pace())
    async with pace.lock:
        for table in _TABLES:
            await store.command(f"TRUNCATE TABLE {table}")
        pace.not_before = 0.0


def pause_s(stored: int) -> float:
    """Return the seconds until the next refresh, where so many events were stored in the ten minutes before this one.

    >>> pause_s(99_999), pause_s(200_000), pause_s(10_000_000)
    (0.0, 10.0, 30.0)
    """
    return 0.0 if stored < _MANY_EVENTS else min(_LONGEST_PAUSE_S, stored / _EVENTS_A_SECOND)
