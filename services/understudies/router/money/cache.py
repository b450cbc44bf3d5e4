"""Answers to identical requests at temperature 0, given again."""

import asyncio
from typing import Final

from understudies.router.money.cached import Cached
from understudies.runtime.online import MAX_VALUE_BYTES, Online, OnlineAway

_MOST_AT_ONCE: Final = 256
"""Answers on their way into the cache; more are not kept, rather than pile up."""


class Cache:
    """Keeps whole answers in the online state, by `cache_key`. Where that is away, it has nothing and keeps nothing.

    What may be kept is for the caller to see to (`repeatable`, `whole`): a successful answer, not hung up on.
    """

    def __init__(self, online: Online, *, max_bytes: int = 256 * 1024) -> None:
        self._online = online
        self._max_bytes = min(max_bytes, MAX_VALUE_BYTES)
        self._keeping: set[asyncio.Task[None]] = set()
        self.hits = 0
        self.misses = 0
        self.away = 0
        """How often the online state could not be asked."""
        self.not_kept = 0
        """Answers that were too large, or came when too many were on their way."""

    async def get(self, key: str) -> Cached | None:
        """The answer that was kept; one round trip."""
        try:
            kept = await self._online.get(key)
        except OnlineAway:
            self.away += 1
            return None
        cached = None if kept is None else Cached.decode(kept)
        if cached is None:
            self.misses += 1
        else:
            self.hits += 1
        return cached

    def put(self, key: str, cached: Cached, ttl_s: float) -> bool:
        """Keep an answer, in the background; false where it is too large."""
        value = cached.encode()
        if len(value) > self._max_bytes or len(self._keeping) >= _MOST_AT_ONCE:
            self.not_kept += 1
            return False
        task = asyncio.get_running_loop().create_task(self._keep(key, value, ttl_s))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return True

    async def idle(self) -> None:
        """Return when everything that was put is kept, or has failed to be."""
        while self._keeping:
            await asyncio.wait(self._keeping)

    async def _keep(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._online.put(key, value, ttl_s)
        except OnlineAway:
            self.away += 1
