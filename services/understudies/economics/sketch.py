"""Count the distinct and the most frequent keys of a stream in bounded memory."""

from __future__ import annotations

import hashlib
from typing import Annotated

from understudies.persistence.fields import As
from understudies.persistence.saved_state import SavedState


def _parse_hash(text: str) -> int:
    return int(text, 16)


HexHash = Annotated[int, As(str, read=_parse_hash, write="{:x}".format)]
"""A 64-bit hash, written as hexadecimal, since JSON numbers lose bits above 2^53."""


def hash64(text: str) -> int:
    """Return a stable 64-bit hash of a text.

    >>> hash64("refund") == hash64("refund") != hash64("cancel")
    True
    """
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


class DistinctCounter(SavedState):
    """Counter of distinct keys, exact up to `cap`, then estimated with a relative error near 1.2 / sqrt(cap).

    Adaptive sampling: keeps the keys whose hash ends in `level` zero bits, and raises the level when they
    exceed the cap. The hash decides whether a key is sampled, so repeats never count twice.

    References
    ----------
    Flajolet (1990), "On adaptive sampling", Computing 43(4).

    Examples
    --------
    >>> counter = DistinctCounter(cap=8)
    >>> for key in ["a", "b", "a"]:
    ...     counter.add(key)
    >>> counter.estimate
    2
    """

    __slots__ = ("_hashes", "_level", "cap")
    cap: int
    _level: int
    _hashes: Annotated[set[int], As(list[HexHash], read=set, write=sorted)]

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._level = 0
        self._hashes = set()

    def add(self, key: str) -> None:
        """Count one key."""
        hashed = hash64(key)
        if not hashed & self._mask:
            self._hashes.add(hashed)
            while len(self._hashes) > self.cap:
                self._level += 1
                self._hashes = {h for h in self._hashes if not h & self._mask}

    @property
    def estimate(self) -> int:
        """The estimated number of distinct keys so far."""
        return len(self._hashes) << self._level

    @property
    def is_exact(self) -> bool:
        """True if the estimate is exact."""
        return self._level == 0

    @property
    def _mask(self) -> int:
        return (1 << self._level) - 1


class FrequentKeys(SavedState):
    """Counts of the most frequent keys, never too high, too low by at most `total / (cap + 1)`.

    Misra-Gries: `cap` counters; a new key that finds none free decrements every counter instead. Exact while
    there are at most `cap` distinct keys.

    References
    ----------
    Misra and Gries (1982), "Finding repeated elements", Science of Computer Programming 2(2).

    Examples
    --------
    >>> keys = FrequentKeys(cap=2)
    >>> for key in ["a", "a", "a", "b", "c"]:
    ...     keys.add(key)
    >>> keys.top(2)
    [2]
    """

    __slots__ = ("_counts", "cap")
    cap: int
    _counts: dict[HexHash, int]

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self._counts = {}

    def add(self, key: str) -> None:
        """Count one key."""
        hashed = hash64(key)
        if hashed in self._counts:
            self._counts[hashed] += 1
        elif len(self._counts) < self.cap:
            self._counts[hashed] = 1
        else:
            # Each such pass undoes `cap` earlier additions, so it costs O(1) per key on average.
            self._counts = {other: count - 1 for other, count in self._counts.items() if count > 1}

    def top(self, size: int, at_least: int = 1) -> list[int]:
        """Return the largest counts, highest first, at most `size` and none below `at_least`."""
        return sorted((count for count in self._counts.values() if count >= at_least), reverse=True)[:size]
