"""Project what was saved lately to a month and a year."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from understudies.backtest.report.json_values import to_json_usd
from understudies.events import usd

_MIN_SPAN: Final = timedelta(days=1)
DAYS_A_YEAR: Final = 365
_MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class SavingsProjection:
    """What is saved in a month and a year if all goes on as in the last `days`, in US dollars."""

    days: float
    month: Decimal
    year: Decimal

    def to_dict(self) -> dict[str, Any]:
        """Return the projection as JSON types."""
        return {
            "days": round(self.days, 2),
            "saved_month_usd": to_json_usd(self.month),
            "saved_year_usd": to_json_usd(self.year),
        }


def project_savings(saved: Decimal, span: timedelta) -> SavingsProjection | None:
    """Project what was saved within a span; None if it is shorter than a day, which tells nothing of the others.

    >>> project_savings(Decimal(2), timedelta(days=2))
    SavingsProjection(days=2.0, month=Decimal('30.416666667'), year=Decimal('365.000000000'))
    """
    if span < _MIN_SPAN:
        return None
    days = span / timedelta(days=1)
    year = saved * DAYS_A_YEAR / Decimal(str(days))
    return SavingsProjection(days, usd(year / _MONTHS_A_YEAR), usd(year))


def last_fifth_span(moments: Sequence[datetime]) -> timedelta:
    """Return the time in which the last fifth of the calls came, given all their times in order.

    It begins with the call before them: of daily batches, two take two days, not the one between them.
    """
    if not moments:
        return timedelta(0)
    return moments[-1] - moments[max(-(-len(moments) * 4 // 5) - 1, 0)]
