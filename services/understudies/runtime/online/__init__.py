"""Fast state that replicas share and may lose: Redis, or the memory of one process."""

from understudies.runtime.online.base import (
    MAX_NANOS,
    MAX_VALUE_BYTES,
    Hold,
    Online,
    OnlineAway,
    Purse,
    Reserved,
    Settlement,
    Standing,
)
from understudies.runtime.online.memory import MemoryOnline
from understudies.runtime.online.opening import online_state

__all__ = [
    "MAX_NANOS",
    "MAX_VALUE_BYTES",
    "Hold",
    "MemoryOnline",
    "Online",
    "OnlineAway",
    "Purse",
    "Reserved",
    "Settlement",
    "Standing",
    "online_state",
]
