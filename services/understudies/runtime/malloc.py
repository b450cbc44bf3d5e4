"""Have the C library's allocator keep less memory that nobody uses."""

import ctypes
import os
import platform
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""The parameters' numbers in glibc's malloc.h."""
_LARGE_BYTES: Final = 4_194_304


def configure_malloc() -> bool:
    """Have glibc keep less free memory in this process; returns whether it does now.

    All threads take memory from one arena: else each new thread gets its own, up to eight for each processor, and what
    is freed in one is of no use to the others, though Python's threads take turns all the same. And arrays of 4 MB or
    more go back to the system when they are freed: else glibc, once it has seen such come and go, takes them from the
    heap, where small objects between them keep it from shrinking.

    Call it before threads are started. It does nothing with another C library, or where the environment has settings
    for the allocator.
    """
    has_settings = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if platform.libc_ver()[0] != "glibc" or has_settings:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_TRIM_THRESHOLD, _LARGE_BYTES))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
