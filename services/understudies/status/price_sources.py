"""Know where the prices of teachers are from, without a look at every call each time."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from understudies.runtime.store import Store
from understudies.status.queries import fetch_price_source, fetch_price_sources

_OVERLAP: Final = timedelta(minutes=5)
"""How long a call may take to be stored, so that the next look still finds it."""


class PriceSources:
    """Where the price of each task's last answer of the teacher is from.

    The first look at a task reads its last answer, later ones what came since the look before: a task that rests keeps
    what is known of it.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._searched: set[str] = set()
        self._looked_at: datetime | None = None

    async def look(self, store: Store, tasks: Collection[str], now: datetime) -> Mapping[str, str]:
        """Return what is known of the tasks now."""
        if len(tasks) == 1:
            return await self._look_at_one(store, *tasks)
        if self._looked_at is not None:
            self._known |= await fetch_price_sources(store, self._looked_at - _OVERLAP)
        self._looked_at = now
        for task in tasks:
            if task not in self._searched:
                self._searched.add(task)
                source = await fetch_price_source(store, task)
                self._known |= {task: source} if source else {}
        return self._known

    async def _look_at_one(self, store: Store, task: str) -> Mapping[str, str]:
        """Read a task's last answer, which takes less than what came of all tasks."""
        source = await fetch_price_source(store, task)
        return {task: source} if source else {}
