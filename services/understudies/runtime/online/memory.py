"""The online state of one process, in its memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from understudies.runtime.online.base import (
    MAX_VALUE_BYTES,
    Hold,
    Purse,
    Reserved,
    Settlement,
    Standing,
)

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all values together; the one used longest ago goes first."""
_SWEEP_S: Final = 60.0


@dataclass(slots=True)
class _Kept:
    """A purse as it is kept: what each source has spent, and each hold with the moment when it is lifted."""

    until: float
    totals: dict[str, int] = field(default_factory=dict)
    holds: dict[str, tuple[float, int]] = field(default_factory=dict)
    spent: int = 0
    held: int = 0

    def tell(self, source: str, total: int) -> None:
        known = self.totals.get(source, 0)
        if total > known:
            self.totals[source] = total
            self.spent += total - known

    def lift(self, now: float) -> None:
        # Oldest first; a hold of a longer lease may keep back later ones of a shorter, as no caller mixes them.
        while self.holds:
            name, (until, nanos) = next(iter(self.holds.items()))
            if until > now:
                return
            del self.holds[name]
            self.held -= nanos

    def end(self, name: str) -> None:
        _, nanos = self.holds.pop(name, (0.0, 0))
        self.held -= nanos

    @property
    def standing(self) -> Standing:
        return Standing(self.spent, self.held)


class MemoryOnline:
    """Keeps everything the promises of `Online`, for one process; it is never away."""

    away = False

    def __init__(self, *, max_bytes: int = _MOST_BYTES, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._max_bytes = max_bytes
        self._purses: dict[str, _Kept] = {}
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._pins: dict[str, tuple[float, str]] = {}
        self._sweep_at = timer() + _SWEEP_S

    @property
    def kept(self) -> int:
        """Purses, values and pins in memory."""
        return len(self._purses) + len(self._values) + len(self._pins)

    async def check(self) -> None:
        """It is there."""

    async def reserve(
        self, source: str, hold: Hold, purses: Sequence[Purse], *, lease_s: float, keep_s: float
    ) -> Reserved:
        now = self._now()
        kept = [self._purse(purse.key, now, keep_s) for purse in purses]
        for purse, there in zip(purses, kept, strict=True):
            there.tell(source, purse.total)
            there.lift(now)
        granted = all(
            hold.name in there.holds or _enough(there, purse, hold) for purse, there in zip(purses, kept, strict=True)
        )
        if granted:
            for there in kept:
                if hold.name not in there.holds:
                    there.holds[hold.name] = (now + lease_s, hold.nanos)
                    there.held += hold.nanos
        return Reserved(granted, tuple(there.standing for there in kept))

    async def settle(self, source: str, settlements: Sequence[Settlement], *, keep_s: float) -> None:
        now = self._now()
        for settlement in settlements:
            there = self._purse(settlement.purse.key, now, keep_s)
            there.tell(source, settlement.purse.total)
            for hold in settlement.ended:
                there.end(hold.name)

    async def get(self, key: str) -> bytes | None:
        until, value = self._values.get(key, (0.0, b""))
        if key not in self._values:
            return None
        if until <= self._timer():
            self._drop(key)
            return None
        self._values.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        refuse_oversize(value)
        now = self._now()
        self._drop(key)
        self._values[key] = (now + ttl_s, value)
        self._bytes += len(key) + len(value)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._values)))

    async def pin(self, key: str, value: str, ttl_s: float) -> str:
        refuse_oversize(value.encode("utf-8", "surrogatepass"))
        now = self._now()
        until, pinned = self._pins.get(key, (0.0, value))
        self._pins[key] = (now + ttl_s, pinned if until > now else value)
        return self._pins[key][1]

    async def close(self) -> None:
        """Nothing runs, and nothing is connected."""

    def _purse(self, key: str, now: float, keep_s: float) -> _Kept:
        there = self._purses.get(key)
        if there is None or there.until <= now:
            there = self._purses[key] = _Kept(now + keep_s)
        return there

    def _drop(self, key: str) -> None:
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._bytes -= len(key) + len(dropped[1])

    def _now(self) -> float:
        """The time; now and then, what has expired is thrown away."""
        now = self._timer()
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            self._purses = {key: there for key, there in self._purses.items() if there.until > now}
            self._pins = {key: pin for key, pin in self._pins.items() if pin[0] > now}
            for key in [key for key, (until, _) in self._values.items() if until <= now]:
                self._drop(key)
        return now


def refuse_oversize(value: bytes) -> None:
    """Raises ValueError for a value that is too large to be kept."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value of {len(value)} bytes is too large to be kept; at most {MAX_VALUE_BYTES} are")


def _enough(there: _Kept, purse: Purse, hold: Hold) -> bool:
    used = there.spent + there.held
    return purse.limit is None or (used < purse.limit and used + hold.nanos <= purse.limit)
