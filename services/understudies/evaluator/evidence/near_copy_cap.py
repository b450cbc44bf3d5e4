"""Cap the near copies of one text, such as an incident causes by the thousand, in a day's evidence."""

from collections import Counter
from datetime import date, timedelta
from math import ceil
from statistics import median
from typing import Annotated, Any, Final

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.persistence.saved_state import Key, SavedState

MIN_DAILY_SHARE: Final = 0.05
"""The share of a day's verdicts that near copies of one text may always contribute."""
_MIN_HISTORY_DAYS: Final = 3
"""Days of history needed before a text may occur as often as it usually does."""
_RETENTION: Final = timedelta(days=15)


class NearCopyCap(SavedState):
    """Cap the evidence that near copies of one text contribute in a day.

    A student that knows one text is right on all its near copies, so a day with a burst of them is hardly informative
    about other days. The cap depends only on the texts and their days, never on a verdict, so the gates stay valid. A
    group that occurs every day is ordinary traffic: it may have twice its usual number.
    """

    _share: Annotated[float, Key(default=lambda: MIN_DAILY_SHARE)]
    _groups: Annotated[NearCopyGroups, Key("words")]
    _days: dict[str, Counter[date]]
    _totals: Counter[date]

    def __init__(self, share: float = MIN_DAILY_SHARE) -> None:
        self._share = share
        self._groups = NearCopyGroups()
        self._days = {}
        self._totals = Counter()

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
        self._days.setdefault(name, Counter())[day] += 1
        return name

    def limit(self, group: str, day: date) -> int:
        """Return the maximum number of verdicts of a group that may count on a day."""
        counts = self._days.get(group)
        # 0.05 * 200 is slightly above 10 in floats.
        share_limit = ceil(self._share * self._totals[day] - 1e-9)
        others = [other for other in self._totals if other != day]
        if counts is None or len(others) < _MIN_HISTORY_DAYS:
            return max(1, share_limit)
        return max(1, share_limit, ceil(2 * median(counts[other] for other in others)))

    def admit(self, group: str | None, day: date, counts: Counter[tuple[str, date]]) -> bool:
        """Count one more verdict of a group and day in `counts`; return whether it is within the limit."""
        if group is None:
            return True
        counts[group, day] += 1
        return counts[group, day] <= self.limit(group, day)

    def expire(self, now: date) -> None:
        """Discard days outside the retention, and texts that occurred only on those."""
        first = now - _RETENTION
        self._totals = _since(self._totals, first)
        for name, days in list(self._days.items()):
            retained = self._days[name] = _since(days, first)
            came_once = retained.total() < 2 and max(retained, default=first) < now - timedelta(days=1)
            if not retained or came_once:
                del self._days[name]
                self._groups.remove(name)


def _since(days: Counter[date], first: date) -> Counter[date]:
    return Counter({day: n for day, n in days.items() if day >= first})
