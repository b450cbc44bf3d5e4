"""Decide when a task's traffic is low."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from understudies.datasets.dataset import Example
from understudies.runtime.hours import parse_hours

_FEWEST_CALLS: Final = 200
_QUIET_HOURS: Final = 8


def quiet_hours(examples: Sequence[Example]) -> frozenset[int]:
    """Return the eight hours of the day (UTC) with the fewest calls of a task; none if too few calls are known.

    The earlier of two equally quiet hours counts as the quieter one.
    """
    calls = Counter[int]()
    for example in examples:
        if not example.synthetic:
            calls[example.at.astimezone(UTC).hour] += example.calls
    if calls.total() < _FEWEST_CALLS:
        return frozenset()
    return frozenset(sorted(range(24), key=lambda hour: (calls[hour], hour))[:_QUIET_HOURS])


def is_off_peak(now: datetime, window: str | None, examples: Sequence[Example]) -> bool:
    """Return whether `now` is in the window of the rules or, without one, in the quiet hours of the task's calls."""
    hours = quiet_hours(examples) if window is None else parse_hours(window)
    return now.astimezone(UTC).hour in hours
