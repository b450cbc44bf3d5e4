"""State that must be fast, is shared by all replicas, and may be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from understudies.runtime.errors import RetryLater

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Largest value that `put` and `get_or_put` take."""

MAX_NANOS: Final = 2**53 - 1
"""Largest amount of money, in billionths of a dollar: nine million dollars. Redis reckons exactly up to here."""


class OnlineUnavailable(RetryLater):
    """The online state cannot be asked now; whether what was asked of it was done is not known."""


@dataclass(frozen=True, slots=True)
class BudgetCounter:
    """The money of one budget on one day, in billionths of a dollar.

    `total` is all that the asking process has spent from it so far. It is told anew with everything that is asked, so
    that nothing is counted twice, whatever is sent twice or late, and nothing is lost with a server that forgets.
    `limit` is the most that may be spent and held by all together; None: there is none.
    """

    key: str
    limit: int | None = None
    total: int = 0


@dataclass(frozen=True, slots=True)
class BudgetHold:
    """Money set aside for one call, under a name that no other has."""

    name: str
    nanos: int


@dataclass(frozen=True, slots=True)
class CounterState:
    """What is spent from a counter and what is held, by all processes together."""

    spent: int
    held: int


@dataclass(frozen=True, slots=True)
class ReserveResult:
    """Whether money was set aside, and how the counters stand: with it, where it was, in the order they were named."""

    granted: bool
    counters: tuple[CounterState, ...]


@dataclass(frozen=True, slots=True)
class CounterSettlement:
    """A counter whose total is told, and the holds on it that end."""

    counter: BudgetCounter
    ended_holds: tuple[BudgetHold, ...] = ()


class OnlineState(Protocol):
    """Money, answers and affinity that replicas share.

    Everything may be asked again: doing it twice is doing it once. All methods but `check` and `close` raise
    OnlineUnavailable.
    """

    @property
    def is_unavailable(self) -> bool:
        """Whether it was away when last asked, and is not back yet."""
        ...

    async def check(self) -> None:
        """Ask whether it is there; raises ConfigurationError if it never can be, OnlineUnavailable if it is not now."""
        ...

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        """Set money aside in all counters or, where one has not enough left, in none.

        A counter whose limit is reached grants nothing, not even a hold of 0. `source` names the process that spends.
        A hold that nobody ends is lifted `lease_s` seconds later; a counter is forgotten `retention_s` after its first
        use.
        """
        ...

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        """Tell what the process has spent, and end holds; an unknown one has ended already."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value that was put, until it expires or has to make room."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value; raises ValueError for one larger than MAX_VALUE_BYTES."""
        ...

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        """The value in force: this one where there is none. It is kept for `ttl_s` seconds from its last use."""
        ...

    async def close(self) -> None:
        """End what runs in the background, and the connection; nothing is asked afterwards."""
        ...


def check_value_size(value: bytes) -> None:
    """Raises ValueError for a value that is too large to be kept."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value of {len(value)} bytes is too large to be kept; at most {MAX_VALUE_BYTES} are")
