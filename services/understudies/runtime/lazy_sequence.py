"""Define sequences whose items are made anew whenever they are looked at."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T", covariant=True)


class LazySequence(Sequence[T]):
    """A sequence that keeps little of each item and makes it from that; a slice is a list."""

    @abstractmethod
    def _make(self, place: int) -> T:
        """Return the item at a place from 0 to the length, exclusive."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, int) and 0 <= index < len(self):
            return self._make(index)
        places = range(len(self))
        return [self._make(place) for place in places[index]] if isinstance(index, slice) else self._make(places[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(len(self)))
