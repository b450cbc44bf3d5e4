"""Watches unlabelled traffic: how often a student in service is sure enough to serve."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper

_FEWEST = 50
_ALPHA = 0.001
_GAP = 0.10


@dataclass(slots=True)
class CoverageShiftMonitor:
    """The share of a day's calls that reach the threshold, against the share that was expected.

    Labels come late and few, confidences at once and always. A shift proves nothing about agreement, so it never
    demotes; it asks for more audits. The expected share is itself an estimate from some thousand held-out calls,
    so a shift must be both beyond chance (99.9%, one-sided) and large (ten points).
    """

    day: date | None = None
    asked: int = 0
    sure: int = 0
    warned: date | None = field(default=None)

    def add(self, sure: bool, at: datetime) -> None:
        """Count one call that the student was asked."""
        if at.date() != self.day:
            self.day, self.asked, self.sure = at.date(), 0, 0
        self.asked += 1
        self.sure += sure

    def check_shift(self, expected: float) -> bool:
        """Whether today's calls are not those that the student was proven on; true once a day at most."""
        if self.asked < _FEWEST or self.warned == self.day:
            return False
        # The bounds take a millisecond and lie around the share: they cannot be so far away where it is not.
        if abs(self.share - expected) < _GAP:
            return False
        low = clopper_pearson_lower(self.sure, self.asked, _ALPHA)
        high = clopper_pearson_upper(self.sure, self.asked, _ALPHA)
        if high > expected - _GAP and low < expected + _GAP:
            return False
        self.warned = self.day
        return True

    @property
    def share(self) -> float:
        return self.sure / self.asked if self.asked else 0.0

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "day": self.day and self.day.isoformat(),
            "asked": self.asked,
            "sure": self.sure,
            "warned": self.warned and self.warned.isoformat(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "CoverageShiftMonitor":
        """The counts that `state` was taken from."""
        days = {name: state[name] and date.fromisoformat(state[name]) for name in ("day", "warned")}
        return cls(**{**state, **days})
