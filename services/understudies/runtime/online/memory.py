"""Keep the online state of one process in its memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from understudies.runtime.online.base import (
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    CounterState,
    ReserveResult,
    check_value_size,
)

_MAX_BYTES: Final = 64 * 1024 * 1024
"""Limit for all values together; the least recently used one is evicted first."""
_SWEEP_INTERVAL_S: Final = 60.0


@dataclass(slots=True)
class _Counter:
    """Stored counter: the total that each source has spent, and each hold with the time at which it expires."""

    expires_at: float
    totals: dict[str, int] = field(default_factory=dict)
    holds: dict[str, tuple[float, int]] = field(default_factory=dict)
    spent: int = 0
    held: int = 0

    def record_total(self, source: str, total: int) -> None:
        previous = self.totals.get(source, 0)
        if total > previous:
            self.totals[source] = total
            self.spent += total - previous

    def expire_holds(self, now: float) -> None:
        # Oldest first; a hold with a longer lease may delay later, shorter ones, but no caller mixes leases.
        while self.holds:
            name, (until, nanos) = next(iter(self.holds.items()))
            if until > now:
                return
            del self.holds[name]
            self.held -= nanos

    def release(self, name: str) -> None:
        _, nanos = self.holds.pop(name, (0.0, 0))
        self.held -= nanos

    @property
    def state(self) -> CounterState:
        return CounterState(self.spent, self.held)


class MemoryOnlineState:
    """Implement `OnlineState` for one process; it is never unavailable."""

    is_unavailable = False

    def __init__(self, *, max_bytes: int = _MAX_BYTES, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._max_bytes = max_bytes
        self._counters: dict[str, _Counter] = {}
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._slots: dict[str, tuple[float, str]] = {}
        self._leases: dict[str, tuple[float, str]] = {}
        self._sweep_at = timer() + _SWEEP_INTERVAL_S

    @property
    def entry_count(self) -> int:
        """The number of counters, values and affinity entries in memory."""
        return len(self._counters) + len(self._values) + len(self._slots) + len(self._leases)

    async def check(self) -> None:
        """Return at once: memory is always available."""

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        now = self._sweep_and_now()
        stored = [self._counter(counter.key, now, retention_s) for counter in counters]
        for counter, state in zip(counters, stored, strict=True):
            state.record_total(source, counter.total)
            state.expire_holds(now)
        granted = all(
            hold.name in state.holds or _has_room(state, counter, hold)
            for counter, state in zip(counters, stored, strict=True)
        )
        if granted:
            for state in stored:
                if hold.name not in state.holds:
                    state.holds[hold.name] = (now + lease_s, hold.nanos)
                    state.held += hold.nanos
        return ReserveResult(granted, tuple(state.state for state in stored))

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        now = self._sweep_and_now()
        for settlement in settlements:
            state = self._counter(settlement.counter.key, now, retention_s)
            state.record_total(source, settlement.counter.total)
            for hold in settlement.ended_holds:
                state.release(hold.name)

    async def get(self, key: str) -> bytes | None:
        until, value = self._values.get(key, (0.0, b""))
        if key not in self._values:
            return None
        if until <= self._timer():
            self._remove(key)
            return None
        self._values.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        check_value_size(value)
        now = self._sweep_and_now()
        self._remove(key)
        self._values[key] = (now + ttl_s, value)
        self._bytes += len(key) + len(value)
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._values)))

    async def clear_values(self) -> None:
        self._values.clear()
        self._bytes = 0

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        check_value_size(value.encode("utf-8", "surrogatepass"))
        now = self._sweep_and_now()
        until, pinned = self._slots.get(key, (0.0, value))
        self._slots[key] = (now + ttl_s, pinned if until > now else value)
        return self._slots[key][1]

    async def acquire_lease(self, key: str, holder: str, ttl_s: float) -> str:
        now = self._sweep_and_now()
        until, found = self._leases.get(key, (0.0, holder))
        if until > now and found != holder:
            return found
        self._leases[key] = (now + ttl_s, holder)
        return holder

    async def close(self) -> None:
        """Do nothing: there is no background work and no connection."""

    def _counter(self, key: str, now: float, retention_s: float) -> _Counter:
        counter = self._counters.get(key)
        if counter is None or counter.expires_at <= now:
            counter = self._counters[key] = _Counter(now + retention_s)
        return counter

    def _remove(self, key: str) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._bytes -= len(key) + len(dropped[1])

    def _sweep_and_now(self) -> float:
        """Return the time, after removing expired entries if a sweep is due."""
        now = self._timer()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_INTERVAL_S
            self._counters = {key: counter for key, counter in self._counters.items() if counter.expires_at > now}
            self._slots = {key: slot for key, slot in self._slots.items() if slot[0] > now}
            self._leases = {key: lease for key, lease in self._leases.items() if lease[0] > now}
            for key in [key for key, (until, _) in self._values.items() if until <= now]:
                self._remove(key)
        return now


def _has_room(state: _Counter, counter: BudgetCounter, hold: BudgetHold) -> bool:
    used = state.spent + state.held
    return counter.limit is None or (used < counter.limit and used + hold.nanos <= counter.limit)
