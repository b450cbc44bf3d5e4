"""An online state that goes away when a test says so."""

import asyncio
from collections.abc import Sequence

from understudies.runtime.online.base import (
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    OnlineUnavailable,
    ReserveResult,
)
from understudies.runtime.online.memory import MemoryOnlineState


class UnreliableOnlineState(MemoryOnlineState):
    """Memory behind a line: it may be cut, before or after what is asked is done, and counts what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.disconnected = False
        self.lost_replies = 0
        """So many of the next answers get lost, after what was asked is done."""
        self.requests = 0
        self.reply_gate: asyncio.Event | None = None
        """Answers to reservations wait for it."""
        self.reply_waiting = asyncio.Event()
        """An answer waits."""

    @property
    def is_unavailable(self) -> bool:  # type: ignore[override]  # it is a fixed value there
        return self.disconnected

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        self._begin()
        reserved = await super().reserve(source, hold, counters, lease_s=lease_s, retention_s=retention_s)
        if self.reply_gate is not None and source != "look":
            self.reply_waiting.set()
            await self.reply_gate.wait()
        self._end()
        return reserved

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        self._begin()
        await super().settle(source, settlements, retention_s=retention_s)
        self._end()

    async def get(self, key: str) -> bytes | None:
        self._begin()
        return await super().get(key)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._begin()
        await super().put(key, value, ttl_s)
        self._end()

    def lose_everything(self) -> None:
        """Lose everything."""
        self._counters.clear()
        self._values.clear()

    def _begin(self) -> None:
        self.requests += 1
        if self.disconnected:
            raise OnlineUnavailable("the line is cut")

    def _end(self) -> None:
        if self.lost_replies:
            self.lost_replies -= 1
            raise OnlineUnavailable("the answer got lost")
