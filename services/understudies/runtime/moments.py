"""Keep many moments in eight bytes each."""

from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, overload

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Moments(Sequence[datetime]):
    """Moments to the microsecond, each made anew in UTC when it is looked at; objects take seven times as much.

    Raises TypeError for a moment without a time zone.
    """

    def __init__(self, moments: Iterable[datetime]) -> None:
        self._microseconds = array("q", [(moment - _EPOCH) // _MICROSECOND for moment in moments])

    def __len__(self) -> int:
        return len(self._microseconds)

    @overload
    def __getitem__(self, index: int) -> datetime: ...
    @overload
    def __getitem__(self, index: slice) -> list[datetime]: ...
    def __getitem__(self, index: int | slice) -> datetime | list[datetime]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        return _EPOCH + timedelta(microseconds=self._microseconds[index])
