"""Event ids: UUIDv7 (RFC 9562, section 6.2, method 1), so that they sort by time and then by creation."""

import hashlib
import itertools
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NewId = Callable[[datetime], str]
"""Makes the id of an event that happened at the given moment."""

_COUNTER_BITS, _RANDOM_BITS = 42, 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _format_uuid7(at: datetime, counter: int, entropy: int) -> str:
    stamp = (at - _EPOCH) // _MILLISECOND & (2**48 - 1)
    tail = (counter & (2**_COUNTER_BITS - 1)) << _RANDOM_BITS | entropy
    number = stamp << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & (2**62 - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_counter = itertools.count(int.from_bytes(os.urandom(5), "big"))


def new_id(at: datetime) -> str:
    """Return a new UUIDv7 of a moment; later ones of the same process and moment sort later."""
    return _format_uuid7(at, next(_counter), int.from_bytes(os.urandom(4), "big"))


def derived_id(at: datetime, key: str) -> str:
    """Return the UUIDv7 of what `key` names and happened at a moment: always the same one, so that it counts once."""
    digest = int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).digest(), "big")
    return _format_uuid7(at, digest >> _RANDOM_BITS, digest & (1 << _RANDOM_BITS) - 1)


class SeededIds:
    """Generate reproducible UUIDv7s: the same seed and calls give the same ids."""

    def __init__(self, seed: int | str) -> None:
        self._entropy = random.Random(seed).getrandbits(_RANDOM_BITS)
        self._counter = itertools.count()

    def __call__(self, at: datetime) -> str:
        return _format_uuid7(at, next(self._counter), self._entropy)
