"""Read windows of hours of the day."""

import re
from typing import Final

_HOURS: Final = re.compile(r"([01]?\d|2[0-3])-([01]?\d|2[0-3])")


def parse_hours(text: str) -> frozenset[int]:
    """Return the hours of the day (UTC) of a window such as `22-6`, whose end is exclusive.

    Raises ValueError for anything else; `0-0` is the whole day.
    """
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no window of hours; write hours of the day in UTC, such as '22-6'")
    first, end = int(match[1]), int(match[2])
    return frozenset((first + hour) % 24 for hour in range((end - first) % 24 or 24))
