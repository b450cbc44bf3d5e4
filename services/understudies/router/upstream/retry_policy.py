"""Decide which failures to retry, and how long to wait before that."""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from understudies.runtime.rules.teacher import RetrySettings

RETRIABLE_STATUSES: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses that a retry may resolve; 409 is a lock time-out."""

_EXHAUSTED_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes of a 429 that waiting does not resolve."""


def is_retriable(status: int, headers: Mapping[str, str], code: str | None = None) -> bool:
    """Return whether to retry after an answer of this status and error code.

    The `x-should-retry` header takes precedence. Headers are named in lower case.
    """
    directive = headers.get("x-should-retry")
    if directive in ("true", "false"):
        return directive == "true"
    return status in RETRIABLE_STATUSES and code not in _EXHAUSTED_CODES


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that `retry-after-ms` or `retry-after` ask to wait; None without either.

    A date is compared with the answer's own `date` if it has one, because clocks differ; for a past date the result is
    0.
    """
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _parse_number(value)
    if seconds is not None:
        return seconds
    until = _parse_date(value)
    return None if until is None else max(0.0, (until - (_parse_date(headers.get("date")) or now)).total_seconds())


def backoff_s(attempt: int, draw: float, retries: RetrySettings) -> float:
    """Return the wait before retry `attempt` (the first is 0): full jitter, from a uniform draw in [0, 1)."""
    return draw * min(retries.longest_s, retries.base_s * 2.0 ** min(attempt, 60))


def delay_s(
    attempt: int, headers: Mapping[str, str], retries: RetrySettings, *, draw: float, left_s: float, now: datetime
) -> float | None:
    """Return the seconds to wait before retry `attempt`, or None if there should be none.

    There is none when all retries are used up, when the teacher asks for a longer wait than allowed, or when the wait
    would outlast `left_s`, the seconds left for the call. A requested wait is never shortened; a little jitter added to
    it spreads out the callers.
    """
    if attempt >= retries.max:
        return None
    requested_s = retry_after_s(headers, now)
    if requested_s is not None and requested_s > retries.patience_s:
        return None
    wait = (
        backoff_s(attempt, draw, retries) if not requested_s else requested_s + draw * min(retries.base_s, requested_s)
    )
    return wait if wait < left_s else None


def _parse_number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _parse_date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    # A date without a zone cannot be compared: HTTP dates are always GMT.
    return date if date.tzinfo else None
