"""Cap the near copies of one text, such as an incident causes by the thousand, in a day's evidence."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from math import ceil
from statistics import median
from typing import Any, Final, Self

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes

MIN_DAILY_SHARE: Final = 0.05
"""The share of a day's verdicts that near copies of one text may always contribute."""
_MIN_HISTORY_DAYS: Final = 3
"""Days of history needed before a text may occur as often as it usually does."""
_RETENTION: Final = timedelta(days=15)


class NearCopyCap:
    """Cap the evidence that near copies of one text contribute in a day.

    A student that knows one text is right on all its near copies, so a day with a burst of them is hardly informative
    about other days. The cap depends only on the texts and their days, never on a verdict, so the gates stay valid. A
    group that occurs every day is ordinary traffic: it may have twice its usual number.
    """

    def __init__(self, share: float = MIN_DAILY_SHARE) -> None:
        self._share = share
        self._groups = NearCopyGroups()
        self._days: dict[str, Counter[date]] = {}
        self._totals: Counter[date] = Counter()

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

    def state(self) -> dict[str, Any]:
        """Return a JSON-serialisable snapshot."""
        groups = {name: [sorted(self._groups.words(name)), _to_json(days)] for name, days in self._days.items()}
        return {"share": self._share, "totals": _to_json(self._totals), "groups": groups}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Restore the groups from a snapshot."""
        cap = cls(state.get("share", MIN_DAILY_SHARE))
        cap._totals = _from_json(state["totals"])
        for words, days in state["groups"].values():
            cap._days[cap._groups.create(frozenset(words))] = _from_json(days)
        return cap


def _since(days: Counter[date], first: date) -> Counter[date]:
    return Counter({day: n for day, n in days.items() if day >= first})


def _to_json(days: Counter[date]) -> dict[str, int]:
    return {day.isoformat(): n for day, n in days.items()}


def _from_json(saved: Mapping[str, int]) -> Counter[date]:
    return Counter({date.fromisoformat(day): n for day, n in saved.items()})
