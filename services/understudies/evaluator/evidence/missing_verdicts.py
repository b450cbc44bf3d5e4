"""Count the sampled calls without a verdict, so that what is left of a day does not speak for all of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from understudies.persistence.saved_state import SavedState

_MOST_MISSING: Final = 0.05
"""Share of a day's sampled calls without a verdict from which the day is no evidence of calls."""


@dataclass(slots=True)
class MissingVerdicts(SavedState):
    """The sampled calls since the last look that the judge was asked of, and those without a verdict, by hour (UTC)."""

    asked: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def count(self, at: datetime, *, given: bool) -> None:
        """Count a call that the judge was asked of."""
        hour = _format_hour(at)
        self.asked[hour] = self.asked.get(hour, 0) + 1
        if not given:
            self.missing[hour] = self.missing.get(hour, 0) + 1

    def take(self, until: datetime) -> tuple[int, int]:
        """Remove the hours that had begun by then; return the calls asked of, and those without a verdict."""
        return _pop_until(self.asked, until), _pop_until(self.missing, until)


def too_many_missing(asked: int, missing: int) -> bool:
    """Return whether too many calls have no verdict for the others to be evidence."""
    return missing > _MOST_MISSING * asked


def _format_hour(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H")


def _pop_until(counts: dict[str, int], until: datetime) -> int:
    """Remove the hours that had begun by then, and return their sum."""
    last = _format_hour(until)
    return sum(counts.pop(hour) for hour in [*counts] if hour <= last)
