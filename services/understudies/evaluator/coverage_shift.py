"""Monitor unlabelled traffic for shifts in how often a serving student is sure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated

from understudies.persistence.saved_state import Key, SavedState
from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper
from understudies.stats.coverage import Threshold

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


@dataclass(slots=True)
class ConfidentShareMonitor(SavedState):
    """Compare how often a serving student is sure with the traffic on which it was proven.

    The expected shares are those of its candidate thresholds, until it is proven again on other traffic.
    """

    coverage_shift: Annotated[CoverageShiftMonitor, Key("traffic")] = field(default_factory=CoverageShiftMonitor)
    sureness: SurenessMonitor = field(default_factory=SurenessMonitor)
    _reference_share: Annotated[float | None, Key("usual_share")] = None
    _reference_sureness: Annotated[float | None, Key("usual_sureness")] = None

    def observe(
        self, confidence: float, at: datetime, candidates: Sequence[Threshold], threshold: float | None
    ) -> bool:
        """Count a call on which the student was asked; return whether traffic has shifted.

        `candidates` are sorted strictest first; without a candidate at the `threshold` in force nothing is counted.
        """
        candidate = _candidate_at(candidates, threshold)
        expected = self.expected_share(candidates, threshold)
        if candidate is None or expected is None:
            return False
        surer = _surer_candidate(candidates, candidate)
        self.sureness.add(confidence >= surer.confidence)
        self.coverage_shift.add(confidence >= candidate.confidence, at)
        has_fallen = self.sureness.has_fallen(
            surer.coverage if self._reference_sureness is None else self._reference_sureness
        )
        return self.coverage_shift.check_shift(expected) or has_fallen

    def expected_share(self, candidates: Sequence[Threshold], threshold: float | None) -> float | None:
        """Return the share of calls that reaches a threshold, as it was proven; None if that is no candidate."""
        candidate = _candidate_at(candidates, threshold)
        if candidate is None:
            return None
        return candidate.coverage if self._reference_share is None else self._reference_share

    def measure_reference(
        self,
        candidates: Sequence[Threshold],
        threshold: float | None,
        share_reaching: Callable[[float | None], float | None],
    ) -> None:
        """Expect from now on the shares of calls that reach a candidate in the traffic on which it is proven again."""
        candidate = _candidate_at(candidates, threshold)
        self._reference_share = share_reaching(threshold)
        self._reference_sureness = (
            None if candidate is None else share_reaching(_surer_candidate(candidates, candidate).confidence)
        )

    def change_threshold(
        self,
        candidates: Sequence[Threshold],
        threshold: float | None,
        share_reaching: Callable[[float | None], float | None],
    ) -> None:
        """Begin anew with another threshold: calls were counted as sure by another confidence."""
        self.sureness.recent.clear()
        if self._reference_share is not None:
            self.measure_reference(candidates, threshold, share_reaching)


def _candidate_at(candidates: Sequence[Threshold], threshold: float | None) -> Threshold | None:
    return next((candidate for candidate in candidates if candidate.confidence == threshold), None)


def _surer_candidate(candidates: Sequence[Threshold], candidate: Threshold) -> Threshold:
    """Return the strictest candidate that at least half of the calls reach that reach this one."""
    return next(point for point in candidates if point.coverage >= candidate.coverage / 2)
