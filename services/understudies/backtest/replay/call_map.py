"""Map the calls of a replay, of which there may be millions, to what is kept of each."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, MutableMapping
from typing import Final, Generic, TypeVar
from uuid import UUID

_ID_BYTES: Final = 16
_ID_DIGITS: Final = 36
_MAX_SHARED: Final = 10_000
"""Values of which calls share one: a task with more of them hardly repeats any."""

T = TypeVar("T")


class CallIds:
    """The ids of the calls of a replay, in the order in which they are played: UUIDs that ascend, in 16 bytes each.

    Raises ValueError if they do not ascend.
    """

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._places = range(len(packed) // _ID_BYTES)
        if any(self.packed(place) >= self.packed(place + 1) for place in self._places[:-1]):
            raise ValueError("the ids of the calls do not ascend")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> str:
        digits = self.packed(place).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def packed(self, place: int) -> bytes:
        """Return the bytes of the id at a place."""
        return self._packed[_ID_BYTES * place : _ID_BYTES * (place + 1)]

    def find(self, packed: bytes) -> int | None:
        """Return the place of an id, by its bytes; None if it is of none of the calls."""
        place = bisect_left(self._places, packed, key=self.packed)
        return place if place < len(self._places) and self.packed(place) == packed else None


class _Values(Generic[T]):
    """Values by a number from 1 on, equal ones once."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._numbers: dict[T, int] = {}

    def __getitem__(self, number: int) -> T:
        return self._values[number - 1]

    def add(self, value: T) -> int:
        number = self._numbers.get(value)
        if number is None:
            self._values.append(value)
            number = len(self._values)
            if number <= _MAX_SHARED:
                self._numbers[value] = number
        return number


class CallMap(MutableMapping[str, T]):
    """Map ids of calls to hashable values; a call of the replay whose value others have too takes four bytes.

    `ids` are those of the replay. Others are taken too, and take as much as in a dict.
    """

    def __init__(self, ids: CallIds | None = None) -> None:
        self._ids = CallIds() if ids is None else ids
        self._values = _Values[T]()
        self._numbers = array("I", bytes(4 * len(self._ids)))
        """The number of each call's value, 0 for none."""
        self._count = 0
        self._others: dict[bytes | str, int] = {}
        """The numbers of the values of calls that are not of the replay."""

    def __setitem__(self, call: str, value: T) -> None:
        place = self._find(packed := _packed(call))
        if place is None:
            self._others[packed] = self._values.add(value)
        else:
            self._count += not self._numbers[place]
            self._numbers[place] = self._values.add(value)

    def __getitem__(self, call: str) -> T:
        place = self._find(packed := _packed(call))
        number = self._others.get(packed, 0) if place is None else self._numbers[place]
        if not number:
            raise KeyError(call)
        return self._values[number]

    def __delitem__(self, call: str) -> None:
        place = self._find(packed := _packed(call))
        if place is None:
            del self._others[packed]
        elif not self._numbers[place]:
            raise KeyError(call)
        else:
            self._count -= 1
            self._numbers[place] = 0

    def __iter__(self) -> Iterator[str]:
        yield from (self._ids[place] for place, number in enumerate(self._numbers) if number)
        yield from (str(UUID(bytes=call)) if isinstance(call, bytes) else call for call in self._others)

    def __len__(self) -> int:
        return self._count + len(self._others)

    def _find(self, packed: bytes | str) -> int | None:
        return self._ids.find(packed) if isinstance(packed, bytes) else None


def _packed(call: str) -> bytes | str:
    """Return the bytes of an id that is a UUID in its usual form; any other as it is."""
    if len(call) != _ID_DIGITS or call[8:24:5] != "----" or call != call.lower():
        return call
    try:
        packed = bytes.fromhex(call.replace("-", ""))
    except ValueError:
        return call
    return packed if len(packed) == _ID_BYTES else call
