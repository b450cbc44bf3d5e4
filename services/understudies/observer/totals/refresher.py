"""Refresh the totals now and then, so that whoever looks after a while, or after an upgrade, need not wait for it."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Final

from understudies.observer.totals import refresh_tenant_totals, refresh_totals
from understudies.runtime.errors import UnderstudiesError
from understudies.runtime.store import Store

_log = logging.getLogger(__name__)
_INTERVAL: Final = timedelta(minutes=10)


class TotalsRefresher:
    """Refresh the totals every ten minutes, in the background: events are stored between its statements."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    def refresh_due(self, now: datetime) -> None:
        """Start a refresh if one is due and none is running."""
        is_running = self._task is not None and not self._task.done()
        if not is_running and (self._due_at is None or now >= self._due_at):
            self._due_at = now + _INTERVAL
            self._task = asyncio.get_running_loop().create_task(self._refresh())

    @property
    def last_refresh(self) -> asyncio.Task[None] | None:
        """The last refresh that was started; None before the first."""
        return self._task

    async def _refresh(self) -> None:
        try:
            await refresh_totals(self._store)
            await refresh_tenant_totals(self._store)
        except UnderstudiesError as error:
            _log.warning("the totals of calls and verdicts are refreshed later: %s", error)

    async def stop(self) -> None:
        """Cancel the refresh that is running; the next one counts what it left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
