"""Convert US dollars to whole nanodollars, as the online state counts them, and times to budget days (UTC)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from understudies.events import usd
from understudies.runtime.online.base import MAX_NANOS


def to_nanos(amount: Decimal) -> int:
    """Convert US dollars to billionths; raises ValueError for negative amounts or more than nine million dollars.

    >>> to_nanos(Decimal("0.000000012"))
    12
    """
    nanos = int(usd(amount).scaleb(9))
    if not 0 <= nanos <= MAX_NANOS:
        raise ValueError(f"not an amount that can be spent: {amount!r}")
    return nanos


def from_nanos(nanos: int) -> Decimal:
    """Convert billionths of a dollar to US dollars.

    >>> from_nanos(12)
    Decimal('1.2E-8')
    """
    return usd(Decimal(nanos).scaleb(-9))


_DAY = timedelta(days=1)


def budget_day(now: datetime) -> str:
    """Return the budget day of a moment, such as 2026-05-09."""
    return now.astimezone(UTC).date().isoformat()


def next_reset(now: datetime) -> datetime:
    """Return the midnight at which the budgets of a moment's day reset."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
