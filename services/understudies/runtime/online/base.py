"""Define the state that must be fast, is shared by all replicas, and may be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from understudies.runtime.errors import RetryLater

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Largest value that `put` and `get_or_put` accept."""

MAX_NANOS: Final = 2**53 - 1
"""Largest amount of money, in billionths of a dollar: nine million dollars. Redis computes exactly up to here."""


class OnlineUnavailable(RetryLater):
    """Report that the online state is unavailable; the request may or may not have been executed."""


@dataclass(frozen=True, slots=True)
class BudgetCounter:
    """Spending counter of one budget on one day, in billionths of a dollar.

    `total` is all that the requesting process has spent from it so far. Every request repeats it, so that nothing is
    counted twice, even if a request is sent twice or late, and nothing is lost with a server that loses its data.
    `limit` is the most that all processes together may spend and hold; None means no limit.
    """

    key: str
    limit: int | None = None
    total: int = 0


@dataclass(frozen=True, slots=True)
class BudgetHold:
    """Money set aside for one call, under a unique name."""

    name: str
    nanos: int


@dataclass(frozen=True, slots=True)
class CounterState:
    """Money spent from a counter and held on it, by all processes together."""

    spent: int
    held: int


@dataclass(frozen=True, slots=True)
class ReserveResult:
    """Result of a reservation: whether money was set aside, and the counters after it, in the order requested."""

    granted: bool
    counters: tuple[CounterState, ...]


@dataclass(frozen=True, slots=True)
class CounterSettlement:
    """Counter with its new total, and the holds on it that end."""

    counter: BudgetCounter
    ended_holds: tuple[BudgetHold, ...] = ()


class OnlineState(Protocol):
    """Budgets, cached responses, affinity and leases that replicas share.

    All operations are idempotent and may be repeated. All methods except `check` and `close` may raise
    OnlineUnavailable.
    """

    @property
    def is_unavailable(self) -> bool:
        """True if the last request found it unavailable, and it has not come back yet."""
        ...

    async def check(self) -> None:
        """Check that it is usable; raises ConfigurationError if it never can be, OnlineUnavailable if not now."""
        ...

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        """Set money aside in all counters or, if one has not enough left, in none.

        A counter whose limit is reached grants nothing, not even a hold of 0. `source` names the process that spends.
        A hold that is not settled expires `lease_s` seconds later; a counter expires `retention_s` seconds after its
        first use.
        """
        ...

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        """Report what the process has spent, and end holds; an unknown hold has already ended."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key; None if there is none, or if it has expired or been evicted."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store a value; raises ValueError if it is larger than MAX_VALUE_BYTES."""
        ...

    async def clear_values(self) -> None:
        """Remove all values that `put` stored."""
        ...

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        """Return the stored value, storing `value` if there is none; it expires `ttl_s` seconds after its last use."""
        ...

    async def acquire_lease(self, key: str, holder: str, ttl_s: float) -> str:
        """Return who holds a lease: `holder` if it was free; it expires `ttl_s` seconds after its holder last asked."""
        ...

    async def close(self) -> None:
        """Stop background work and disconnect; no request may follow."""
        ...


def check_value_size(value: bytes) -> None:
    """Raise ValueError if a value is too large to be stored."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value of {len(value)} bytes is too large to be stored; the limit is {MAX_VALUE_BYTES}")
