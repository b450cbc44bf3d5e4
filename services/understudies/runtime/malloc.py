"""Have the C library's allocator keep less memory that nobody uses."""

import ctypes
import os
import platform
from typing import Final

_M_ARENA_MAX: Final = -8
"""The parameter's number in glibc's malloc.h."""
_OVERRIDES: Final = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def share_one_arena() -> bool:
    """Have all threads of this process take memory from one arena; returns whether they do now.

    Else glibc gives each new thread an arena of its own, up to eight for each processor, and what is freed in one is
    of no use to the others. Python's threads take turns all the same. Call it before threads are started. It does
    nothing with another C library, or where the environment has settings for the allocator.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OVERRIDES):
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
