"""Convert US dollars to whole billionths, as the online state counts them, and times to budget days (UTC)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from understudies.events import usd
from understudies.runtime.online.base import MAX_NANOS


def to_nanos(amount: Decimal) -> int:
    """Billionths of an amount of US dollars; raises ValueError for less than none, or more than nine million dollars.

    >>> to_nanos(Decimal("0.000000012"))
    12
    """
    whole = int(usd(amount).scaleb(9))
    if not 0 <= whole <= MAX_NANOS:
        raise ValueError(f"not an amount that can be spent: {amount!r}")
    return whole


def from_nanos(whole: int) -> Decimal:
    """The amount of US dollars of so many billionths.

    >>> from_nanos(12)
    Decimal('1.2E-8')
    """
    return usd(Decimal(whole).scaleb(-9))


_DAY = timedelta(days=1)


def budget_day(now: datetime) -> str:
    """The day of a moment, such as 2026-05-09."""
    return now.astimezone(UTC).date().isoformat()


def next_reset(now: datetime) -> datetime:
    """The midnight at which the budgets of a moment's day are full again."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
