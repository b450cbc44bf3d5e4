"""Keep the totals of calls by hour and of verdicts by day, so that nobody who looks has to read every event."""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from understudies.observer.totals.calls import CALL_TOTALS
from understudies.observer.totals.rollup import refresh_rollup
from understudies.observer.totals.verdicts import TENANT_VERDICT_TOTALS, VERDICT_TOTALS, recount_changed_thresholds
from understudies.runtime.store import Store

__all__ = ["refresh_tenant_totals", "refresh_totals"]

_TENANTS: Final = "SELECT uniqExact(tenant) AS n FROM invocation_hours"

_LOCKS: Final[WeakKeyDictionary[Store, asyncio.Lock]] = WeakKeyDictionary()


async def refresh_totals(store: Store) -> None:
    """Bring all totals up to what is stored; quick unless much was stored since the last time.

    Whoever looks while another refresh of this process runs waits for it, rather than doing the same.
    """
    async with _LOCKS.setdefault(store, asyncio.Lock()):
        await refresh_rollup(store, CALL_TOTALS)
        await refresh_rollup(store, VERDICT_TOTALS)
        await recount_changed_thresholds(store, VERDICT_TOTALS)


async def refresh_tenant_totals(store: Store) -> None:
    """Bring the verdicts by tenant up to what is stored, where several tenants call."""
    async with _LOCKS.setdefault(store, asyncio.Lock()):
        (row,) = await store.query(_TENANTS)
        if row["n"] > 1:
            await refresh_rollup(store, TENANT_VERDICT_TOTALS)
            await recount_changed_thresholds(store, TENANT_VERDICT_TOTALS)
