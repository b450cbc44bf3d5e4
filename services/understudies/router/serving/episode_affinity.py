"""Remember the variant with which each episode began, here and, if there is online state, across replicas."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)


class AffinityStore(Protocol):
    """Affinity that all replicas share."""

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        """Return the value in force, `value` if there was none; keep it for `ttl_s` seconds from its last use."""
        ...


@dataclass(slots=True)
class _Episode:
    variant: str
    until: float
    renewed: float
    served: int = 0


class EpisodeAffinity:
    """The variants of recent episodes, and the number of their calls that students served.

    An episode keeps its variant until `ttl_s` seconds after its last call. If the shared affinity is unavailable,
    slower than `wait_s` seconds or absent, each replica remembers on its own. The `capacity` most recently used
    episodes are kept in memory. Keys are hashes, because an episode's name may be personal data.
    """

    def __init__(
        self,
        store: AffinityStore | None = None,
        *,
        ttl_s: float = 14_400.0,
        capacity: int = 50_000,
        wait_s: float = 0.25,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._wait_s = wait_s
        self._timer = timer
        self._episodes: OrderedDict[bytes, _Episode] = OrderedDict()
        self._log_throttle = Throttle(timer=timer)
        self.store_failures = 0
        """Number of failed requests to the shared affinity."""

    def __len__(self) -> int:
        return len(self._episodes)

    async def variant(self, tenant: str, task: str, episode: str, initial: str) -> str:
        """Return the variant with which an episode began; `initial` if this is its first call."""
        key = _episode_key(tenant, task, episode)
        known = self._find(key)
        if known is None:
            # Keep the first value to arrive: another call of the episode may have stored one in the meantime.
            in_force = await self._pin(_store_key(key), initial) or initial
            known = self._find(key) or self._remember(key, in_force)
        elif self._store is not None and known.renewed <= self._timer() - self._ttl_s / 2:
            # A variant known here is not looked up again, but must not expire for the other replicas; nor must the
            # steps that are taken, or students would serve another `steps` of a long episode.
            known.renewed = self._timer()
            taken = [self._pin(_store_key(key, step), "") for step in range(known.served)]
            found, *_ = await asyncio.gather(self._pin(_store_key(key), known.variant), *taken)
            known.variant = found or known.variant
        return known.variant

    def count_served(self, tenant: str, task: str, episode: str) -> int:
        """Return the number of an episode's calls that students served, as far as this replica knows."""
        known = self._find(_episode_key(tenant, task, episode))
        return known.served if known else 0

    async def claim_step(self, tenant: str, task: str, episode: str, call: str, steps: int) -> bool:
        """Count a call that a student is about to serve; return False if all `steps` of the episode are taken.

        `call` is the call's id: each step belongs to one call, so that replicas count together.
        """
        key = _episode_key(tenant, task, episode)
        known = self._find(key) or _Episode("", 0.0, 0.0)
        while known.served < steps:
            step = known.served
            holder = await self._pin(_store_key(key, step), call)
            if holder is None:
                # Other calls on this replica may have taken steps in the meantime: take the next one.
                taken = known.served < steps
                known.served += taken
                return taken
            known.served = max(known.served, step + 1)
            if holder == call:
                return True
        return False

    def _find(self, key: bytes) -> _Episode | None:
        known = self._episodes.get(key)
        if known is None:
            return None
        now = self._timer()
        if known.until <= now:
            del self._episodes[key]
            return None
        known.until = now + self._ttl_s
        self._episodes.move_to_end(key)
        return known

    def _remember(self, key: bytes, variant: str) -> _Episode:
        now = self._timer()
        episode = self._episodes[key] = _Episode(variant, now + self._ttl_s, now)
        if len(self._episodes) > self._capacity:
            self._episodes.popitem(last=False)
        return episode

    async def _pin(self, key: str, value: str) -> str | None:
        """Return the value in force across replicas; None if the shared affinity cannot be reached."""
        if self._store is None:
            return None
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._store.get_or_put(key, value, self._ttl_s)
        except Exception as error:  # noqa: BLE001 - an episode continues with what this replica remembers
            self.store_failures += 1
            if self._log_throttle():
                _log.warning("episodes are pinned by each replica alone: %s", type(error).__name__)
            return None


def _episode_key(tenant: str, task: str, episode: str) -> bytes:
    name = f"{len(tenant)}:{tenant}{len(task)}:{task}{episode}"
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _store_key(key: bytes, step: int | None = None) -> str:
    return f"episode:{key.hex()}" if step is None else f"episode:{key.hex()}:{step}"
