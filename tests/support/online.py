"""An online state that goes away when a test says so."""

import asyncio
from collections.abc import Sequence

from understudies.runtime.online import Hold, MemoryOnline, OnlineAway, Purse, Reserved, Settlement


class Fickle(MemoryOnline):
    """Memory behind a line: it may be cut, before or after what is asked is done, and counts what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False
        self.answers_lost = 0
        """So many of the next answers get lost, after what was asked is done."""
        self.asked = 0
        self.slow: asyncio.Event | None = None
        """Answers to reservations wait for it."""
        self.waiting = asyncio.Event()
        """An answer waits."""

    @property
    def away(self) -> bool:  # type: ignore[override]  # it is a fixed value there
        return self.cut

    async def reserve(
        self, source: str, hold: Hold, purses: Sequence[Purse], *, lease_s: float, keep_s: float
    ) -> Reserved:
        self._begin()
        reserved = await super().reserve(source, hold, purses, lease_s=lease_s, keep_s=keep_s)
        if self.slow is not None and source != "look":
            self.waiting.set()
            await self.slow.wait()
        self._end()
        return reserved

    async def settle(self, source: str, settlements: Sequence[Settlement], *, keep_s: float) -> None:
        self._begin()
        await super().settle(source, settlements, keep_s=keep_s)
        self._end()

    async def get(self, key: str) -> bytes | None:
        self._begin()
        return await super().get(key)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._begin()
        await super().put(key, value, ttl_s)
        self._end()

    def forget(self) -> None:
        """Lose everything."""
        self._purses.clear()
        self._values.clear()

    def _begin(self) -> None:
        self.asked += 1
        if self.cut:
            raise OnlineAway("the line is cut")

    def _end(self) -> None:
        if self.answers_lost:
            self.answers_lost -= 1
            raise OnlineAway("the answer got lost")
