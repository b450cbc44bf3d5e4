"""Which failures are worth another attempt, and how long to wait before it."""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from understudies.runtime.rules.teacher import RetrySettings

RETRIABLE_STATUSES: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses that another attempt may mend; 409 is a lock that was not had in time."""

_EXHAUSTED_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that no waiting mends."""


def is_retriable(status: int, headers: Mapping[str, str], code: str | None = None) -> bool:
    """Whether an answer of this status and error code may be asked for again.

    `x-should-retry` decides where it is sent. Headers are named in lower case.
    """
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in RETRIABLE_STATUSES and code not in _EXHAUSTED_CODES


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that `retry-after-ms` or `retry-after` ask to wait, 0 for a date that is past; None without either.

    A date is compared with the answer's own `date` where it has one, for clocks differ.
    """
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after")
    if told is None:
        return None
    seconds = _parse_number(told)
    if seconds is not None:
        return seconds
    until = _parse_date(told)
    return None if until is None else max(0.0, (until - (_parse_date(headers.get("date")) or now)).total_seconds())


def backoff_s(attempt: int, draw: float, retries: RetrySettings) -> float:
    """The wait before retry `attempt` (the first is 0): full jitter, by a uniform draw in [0, 1)."""
    return draw * min(retries.longest_s, retries.base_s * 2.0 ** min(attempt, 60))


def delay_s(
    attempt: int, headers: Mapping[str, str], retries: RetrySettings, *, draw: float, left_s: float, now: datetime
) -> float | None:
    """Seconds to wait before retry `attempt`, or None where there shall be none.

    There is none when all retries are used up, when the teacher asks for more patience than there is, or when the
    wait would outlast `left_s`, the seconds left for the call. A wait that was asked for is never cut short; a little
    jitter after it keeps callers apart.
    """
    if attempt >= retries.max:
        return None
    asked = retry_after_s(headers, now)
    if asked is not None and asked > retries.patience_s:
        return None
    wait = backoff_s(attempt, draw, retries) if not asked else asked + draw * min(retries.base_s, asked)
    return wait if wait < left_s else None


def _parse_number(told: str | None) -> float | None:
    try:
        number = float(told or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _parse_date(told: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(told or "")
    except ValueError:
        return None
    # A date without a zone cannot be compared: HTTP's are always GMT.
    return date if date.tzinfo else None
