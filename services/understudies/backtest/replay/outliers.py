"""Discard implausible recorded times, which lie far from all others."""

from collections.abc import Sequence
from datetime import timedelta

from understudies.importers.recorded_call import RecordedCall

MAX_GAP = timedelta(days=365)


def clear_outlier_times(calls: Sequence[RecordedCall]) -> list[RecordedCall]:
    """Return the calls, without the times that a gap of more than a year separates from the median call.

    Otherwise a single wrong date would have every hour of the years in between played.
    """
    times = sorted(call.at for call in calls if call.at is not None)
    if not times:
        return list(calls)
    first = last = len(times) // 2
    while first > 0 and times[first] - times[first - 1] <= MAX_GAP:
        first -= 1
    while last < len(times) - 1 and times[last + 1] - times[last] <= MAX_GAP:
        last += 1
    return [
        call
        if call.at is None or times[first] <= call.at <= times[last]
        else call.with_changes(at=None, task=call.task, episode=call.episode)
        for call in calls
    ]
