"""Keep many moments in eight bytes each."""

from array import array
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from understudies.runtime.lazy_sequence import LazySequence

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Moments(LazySequence[datetime]):
    """Moments to the microsecond, each made anew in UTC when it is looked at; objects take seven times as much.

    Raises TypeError for a moment without a time zone.
    """

    def __init__(self, moments: Iterable[datetime] = ()) -> None:
        self._microseconds = array("q", map(_to_microseconds, moments))

    def append(self, moment: datetime) -> None:
        """Add a moment at the end."""
        self._microseconds.append(_to_microseconds(moment))

    def __len__(self) -> int:
        return len(self._microseconds)

    def _make(self, place: int) -> datetime:
        return _EPOCH + timedelta(0, 0, self._microseconds[place])


def _to_microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
