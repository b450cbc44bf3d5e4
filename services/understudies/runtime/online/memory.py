"""The online state of one process, in its memory."""

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
"""Of all values together; the one used longest ago goes first."""
_SWEEP_INTERVAL_S: Final = 60.0


@dataclass(slots=True)
class _Counter:
    """A counter as it is kept: what each source has spent, and each hold with the moment when it is lifted."""

    expires_at: float
    totals: dict[str, int] = field(default_factory=dict)
    holds: dict[str, tuple[float, int]] = field(default_factory=dict)
    spent: int = 0
    held: int = 0

    def record_total(self, source: str, total: int) -> None:
        known = self.totals.get(source, 0)
        if total > known:
            self.totals[source] = total
            self.spent += total - known

    def expire_holds(self, now: float) -> None:
        # Oldest first; a hold of a longer lease may keep back later ones of a shorter, as no caller mixes them.
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
    """Keeps everything the promises of `OnlineState`, for one process; it is never away."""

    is_unavailable = False

    def __init__(self, *, max_bytes: int = _MAX_BYTES, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._max_bytes = max_bytes
        self._counters: dict[str, _Counter] = {}
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._slots: dict[str, tuple[float, str]] = {}
        self._sweep_at = timer() + _SWEEP_INTERVAL_S

    @property
    def entry_count(self) -> int:
        """Counters, values and affinity in memory."""
        return len(self._counters) + len(self._values) + len(self._slots)

    async def check(self) -> None:
        """It is there."""

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        now = self._sweep_and_now()
        kept = [self._counter(purse.key, now, retention_s) for purse in counters]
        for purse, there in zip(counters, kept, strict=True):
            there.record_total(source, purse.total)
            there.expire_holds(now)
        granted = all(
            hold.name in there.holds or _has_room(there, purse, hold)
            for purse, there in zip(counters, kept, strict=True)
        )
        if granted:
            for there in kept:
                if hold.name not in there.holds:
                    there.holds[hold.name] = (now + lease_s, hold.nanos)
                    there.held += hold.nanos
        return ReserveResult(granted, tuple(there.state for there in kept))

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        now = self._sweep_and_now()
        for settlement in settlements:
            there = self._counter(settlement.counter.key, now, retention_s)
            there.record_total(source, settlement.counter.total)
            for hold in settlement.ended_holds:
                there.release(hold.name)

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

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        check_value_size(value.encode("utf-8", "surrogatepass"))
        now = self._sweep_and_now()
        until, pinned = self._slots.get(key, (0.0, value))
        self._slots[key] = (now + ttl_s, pinned if until > now else value)
        return self._slots[key][1]

    async def close(self) -> None:
        """Nothing runs, and nothing is connected."""

    def _counter(self, key: str, now: float, keep_s: float) -> _Counter:
        there = self._counters.get(key)
        if there is None or there.expires_at <= now:
            there = self._counters[key] = _Counter(now + keep_s)
        return there

    def _remove(self, key: str) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._bytes -= len(key) + len(dropped[1])

    def _sweep_and_now(self) -> float:
        """The time; now and then, what has expired is thrown away."""
        now = self._timer()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_INTERVAL_S
            self._counters = {key: there for key, there in self._counters.items() if there.expires_at > now}
            self._slots = {key: pin for key, pin in self._slots.items() if pin[0] > now}
            for key in [key for key, (until, _) in self._values.items() if until <= now]:
                self._remove(key)
        return now


def _has_room(state: _Counter, counter: BudgetCounter, hold: BudgetHold) -> bool:
    used = state.spent + state.held
    return counter.limit is None or (used < counter.limit and used + hold.nanos <= counter.limit)
