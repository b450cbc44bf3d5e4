"""Keep the totals of calls by hour and of verdicts by day, so that nobody who looks has to read every event."""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from understudies.observer.totals.calls import CALL_TOTALS
from understudies.observer.totals.rollup import refresh_rollup
from understudies.observer.totals.verdicts import VERDICT_TOTALS, recount_changed_thresholds
from understudies.runtime.store import Store

__all__ = ["refresh_totals"]

_LOCKS: Final[WeakKeyDictionary[Store, asyncio.Lock]] = WeakKeyDictionary()


async def refresh_totals(store: Store) -> None:
    """Bring all totals up to what is stored; quick unless much was stored since the last time.

    Whoever looks while another refresh of this process runs waits for it, rather than doing the same.
    """
    async with _LOCKS.setdefault(store, asyncio.Lock()):
        await refresh_rollup(store, CALL_TOTALS)
        await refresh_rollup(store, VERDICT_TOTALS)
        await recount_changed_thresholds(store)
