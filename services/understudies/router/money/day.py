"""Days of budgets: from midnight to midnight, UTC."""

from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)


def budget_day(now: datetime) -> str:
    """The day of a moment, such as 2026-05-09."""
    return now.astimezone(UTC).date().isoformat()


def next_reset(now: datetime) -> datetime:
    """The midnight at which the budgets of a moment's day are full again."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
