"""Inject time as a dependency: the machine's clock, or a backtest's virtual one."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Source of the current time, in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """Clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class VirtualClock:
    """Clock that stands still until it is set, and never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def set(self, moment: datetime) -> None:
        """Advance to `moment`; raises ValueError for a moment before the current time."""
        if moment < self._now:
            raise ValueError(f"time cannot go back from {self._now.isoformat()} to {moment.isoformat()}")
        self._now = moment.astimezone(UTC)
