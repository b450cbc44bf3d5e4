"""Fast state that replicas share and may lose: Redis, or the memory of one process."""

from understudies.runtime.online.base import (
    MAX_NANOS,
    MAX_VALUE_BYTES,
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    CounterState,
    OnlineState,
    OnlineUnavailable,
    ReserveResult,
)
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.online.opening import create_online_state

__all__ = [
    "MAX_NANOS",
    "MAX_VALUE_BYTES",
    "BudgetHold",
    "MemoryOnlineState",
    "OnlineState",
    "OnlineUnavailable",
    "BudgetCounter",
    "ReserveResult",
    "CounterSettlement",
    "CounterState",
    "create_online_state",
]
