"""Cap the near copies of one text, such as an incident causes by the thousand, in a day's evidence."""

from collections import Counter
from datetime import date, timedelta
from math import ceil
from statistics import median
from typing import Annotated, Any, Final

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.persistence.fields import As
from understudies.persistence.saved_state import Key, SavedState

MIN_DAILY_SHARE: Final = 0.05
"""The share of a day's verdicts that near copies of one text may always contribute."""
_MIN_HISTORY_DAYS: Final = 3
"""Days of history needed before a text may occur as often as it usually does."""
_RETENTION: Final = timedelta(days=15)
_LEAST_KEPT: Final = 2
"""Number of times that a text must have come to be kept longer than until the end of the next day."""


def _by_day(groups: dict[str, Counter[date]]) -> dict[date, Counter[str]]:
    days: dict[date, Counter[str]] = {}
    for name, counts in groups.items():
        for day, n in counts.items():
            days.setdefault(day, Counter())[name] = n
    return days


def _by_group(days: dict[date, Counter[str]]) -> dict[str, Counter[date]]:
    groups: dict[str, Counter[date]] = {}
    for day, counts in days.items():
        for name, n in counts.items():
            groups.setdefault(name, Counter())[day] = n
    return groups


_Days = Annotated[dict[date, Counter[str]], As(dict[str, Counter[date]], read=_by_day, write=_by_group)]


class NearCopyCap(SavedState):
    """Cap the evidence that near copies of one text contribute in a day.

    A student that knows one text is right on all its near copies, so a day with a burst of them is hardly informative
    about other days. The cap depends only on the texts and their days, never on a verdict, so the gates stay valid. A
    group that occurs every day is ordinary traffic: it may have twice its usual number.
    """

    _share: Annotated[float, Key(default=lambda: MIN_DAILY_SHARE)]
    _groups: Annotated[NearCopyGroups, Key("words")]
    # In memory by day: most groups have one, and a counter for each group would take half a kilobyte.
    _days: _Days
    _totals: Counter[date]
    _admitted: Annotated[_Days, Key("admitted", default=dict)]
    """The verdicts that count: those of a day may come to several looks, which do not end with it."""

    def __init__(self, share: float = MIN_DAILY_SHARE) -> None:
        self._share = share
        self._groups = NearCopyGroups()
        self._days = {}
        self._totals = Counter()
        self._admitted = {}

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot that holds each group's words and days together."""
        if "groups" not in state:
            return state
        groups = state["groups"].items()
        return {
            **state,
            "words": {name: words for name, (words, _) in groups},
            "days": {name: days for name, (_, days) in groups},
        }

    def record(self, text: str, day: date) -> str:
        """Count a text on a day; return the name of its group."""
        name = self._groups.assign(masked_word_hashes(text))
        self._totals[day] += 1
        self._days.setdefault(day, Counter())[name] += 1
        return name

    def limit(self, group: str, day: date) -> int:
        """Return the maximum number of verdicts of a group that may count on a day."""
        # 0.05 * 200 is slightly above 10 in floats.
        share_limit = ceil(self._share * self._totals[day] - 1e-9)
        others = [other for other in self._totals if other != day]
        if len(others) < _MIN_HISTORY_DAYS:
            return max(1, share_limit)
        return max(1, share_limit, ceil(2 * median(self._times(group, other) for other in others)))

    def _times(self, group: str, day: date) -> int:
        # A day whose texts all came once has none left.
        return self._days.get(day, Counter[str]())[group]

    def admit(self, group: str | None, day: date) -> bool:
        """Return whether one more verdict of a group and day is within the limit, and so counts."""
        if group is None:
            return True
        admitted = self._admitted.setdefault(day, Counter())
        if admitted[group] >= self.limit(group, day):
            return False
        admitted[group] += 1
        return True

    def expire(self, now: date) -> None:
        """Discard days outside the retention, and texts that occurred only on those."""
        self._totals = _since(self._totals, now - _RETENTION)
        yesterday = now - timedelta(days=1)
        candidates = dict.fromkeys(name for day, counts in self._days.items() if day < yesterday for name in counts)
        self._days = {day: counts for day, counts in self._days.items() if day in self._totals}
        self._admitted = {day: counts for day, counts in self._admitted.items() if day in self._totals}
        recent = [counts for day, counts in self._days.items() if day >= yesterday]
        for name in candidates:
            came_once = sum(counts.get(name, 0) for counts in self._days.values()) < _LEAST_KEPT
            if came_once and not any(name in counts for counts in recent):
                for counts in self._days.values():
                    counts.pop(name, None)
                self._groups.remove(name)


def _since(days: Counter[date], first: date) -> Counter[date]:
    return Counter({day: n for day, n in days.items() if day >= first})
