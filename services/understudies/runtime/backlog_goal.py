"""Know when a service has handled what was on its topics at a time, before it closes a period."""

import asyncio
from collections.abc import Callable
from typing import Final

from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.messages import Offsets
from understudies.runtime.errors import RetryLater

_TIMEOUT_S: Final = 600.0
_FETCH_TIMEOUT_S: Final = 30.0
"""Longest time to fetch the topics' end offsets; if a backlog takes longer, the next tick retries."""


class BacklogGoal:
    """The end offsets that a service has to reach; `committed` are those of its group when the goal was set."""

    def __init__(self, bus: Bus, timer: Callable[[], float]) -> None:
        self._bus = bus
        self._timer = timer
        self._goal: Offsets | None = None
        self._set_at = 0.0
        self.committed: Offsets = {}

    @property
    def is_set(self) -> bool:
        """True from `set` until the goal is reached or given up."""
        return self._goal is not None

    async def set(self, offsets: Offsets) -> None:
        """Record the topics' current end offsets; in a long backlog that takes a while, during which it is handled."""
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT_S):
                self.committed = await self._bus.fetch_committed_offsets()
                self._goal = await self._bus.fetch_end_offsets({**self.committed, **offsets})
                self._set_at = self._timer()
        except (TimeoutError, RetryLater):
            self._goal = None

    def is_reached(self, has_handled: Callable[[Offsets], bool]) -> bool:
        """Return whether the recorded end offsets are reached; False before a partition is assigned.

        The end offsets are recorded anew after a time-out: another process of the group may own a partition by then.
        """
        reached = bool(self._goal) and has_handled(self._goal or {})
        if reached or not self._goal or self._timer() - self._set_at > _TIMEOUT_S:
            self._goal = None
        return reached
