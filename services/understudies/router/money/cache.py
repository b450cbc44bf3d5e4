"""Answers to identical requests at temperature 0, given again."""

import asyncio
from typing import Final

from understudies.router.money.cached import CacheEntry
from understudies.runtime.online import MAX_VALUE_BYTES, OnlineState, OnlineUnavailable

_MAX_PENDING_WRITES: Final = 256
"""Answers on their way into the cache; more are not kept, rather than pile up."""


class CacheStore:
    """Keeps whole answers in the online state, by `cache_key`. Where that is away, it has nothing and keeps nothing.

    What may be kept is for the caller to see to (`repeatable`, `whole`): a successful answer, not hung up on.
    """

    def __init__(self, online: OnlineState, *, max_bytes: int = 256 * 1024) -> None:
        self._online = online
        self._max_bytes = min(max_bytes, MAX_VALUE_BYTES)
        self._writes: set[asyncio.Task[None]] = set()
        self.hits = 0
        self.misses = 0
        self.unavailable = 0
        """How often the online state could not be asked."""
        self.rejected = 0
        """Answers that were too large, or came when too many were on their way."""

    async def get(self, key: str) -> CacheEntry | None:
        """The answer that was kept; one round trip."""
        try:
            kept = await self._online.get(key)
        except OnlineUnavailable:
            self.unavailable += 1
            return None
        cached = None if kept is None else CacheEntry.decode(kept)
        if cached is None:
            self.misses += 1
        else:
            self.hits += 1
        return cached

    def put(self, key: str, cached: CacheEntry, ttl_s: float) -> bool:
        """Keep an answer, in the background; false where it is too large."""
        value = cached.encode()
        if len(value) > self._max_bytes or len(self._writes) >= _MAX_PENDING_WRITES:
            self.rejected += 1
            return False
        task = asyncio.get_running_loop().create_task(self._write(key, value, ttl_s))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return True

    async def wait_idle(self) -> None:
        """Return when everything that was put is kept, or has failed to be."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def _write(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._online.put(key, value, ttl_s)
        except OnlineUnavailable:
            self.unavailable += 1
