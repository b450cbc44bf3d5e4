"""Monitor unlabelled traffic for shifts in how often a serving student is sure."""

from dataclasses import dataclass, field
from datetime import date, datetime

from understudies.persistence.saved_state import SavedState
from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper

_MIN_CALLS = 50
_ALPHA = 0.001
_GAP = 0.10


@dataclass(slots=True)
class CoverageShiftMonitor(SavedState):
    """Compare the share of a day's calls that reach the threshold with the expected share.

    Verdicts arrive late and are few; confidences are available at once for every call. A shift proves nothing about
    agreement, so it never demotes; it requests more audits. The expected share is itself an estimate from some thousand
    held-out calls, so a shift must be both significant (99.9%, one-sided) and large (ten points).
    """

    day: date | None = None
    asked: int = 0
    sure: int = 0
    warned: date | None = None

    def add(self, sure: bool, at: datetime) -> None:
        """Count one call on which the student was asked; `sure` if its confidence reached the threshold."""
        if at.date() != self.day:
            self.day, self.asked, self.sure = at.date(), 0, 0
        self.asked += 1
        self.sure += sure

    def check_shift(self, expected: float) -> bool:
        """Return whether today's share differs from the share on which the student was proven.

        True at most once a day.
        """
        if self.asked < _MIN_CALLS or self.warned == self.day:
            return False
        # The bounds take a millisecond and enclose the share: skip them if the share itself is within the gap.
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


_WINDOW = 60
_FALL = 0.25
_FALL_ALPHA = 0.0001


@dataclass(slots=True)
class SurenessMonitor(SavedState):
    """Detect within an hour or a day of calls that a student is sure of far fewer of them than usual.

    A student proven on nearly all calls serves what it is hardly sure of, so that its threshold does not stop it where
    calls no longer tell what it relies on. A stricter confidence, that half of what it serves usually reaches, does: of
    the last 60 calls a quarter fewer, significantly at 99.99%. That lies four standard deviations from chance, and
    beyond what hours of the day differ by.
    """

    recent: list[bool] = field(default_factory=list)

    def add(self, sure: bool) -> None:
        """Count one call on which the student was asked; `sure` if its confidence reached the stricter one."""
        self.recent.append(sure)
        del self.recent[:-_WINDOW]

    def has_fallen(self, expected: float) -> bool:
        """Return whether the share of the recent calls has fallen from the expected one; then begin anew."""
        n, sure = len(self.recent), sum(self.recent)
        if n < _WINDOW or sure / n > expected - _FALL or clopper_pearson_upper(sure, n, _FALL_ALPHA) > expected:
            return False
        self.recent.clear()
        return True
