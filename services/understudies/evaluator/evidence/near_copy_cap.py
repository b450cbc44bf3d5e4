"""Near copies of one text, as an incident brings them by the thousand: how many of a day's may be evidence."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from math import ceil
from statistics import median
from typing import Any, Final, Self

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes

MIN_DAILY_SHARE: Final = 0.05
"""The part of a day's verdicts that near copies of one text may always make."""
_KNOWN_DAYS: Final = 3
"""Days on which it must be known how often a text comes before it may come as often again."""
_RETENTION: Final = timedelta(days=15)


class NearCopyCap:
    """Caps what near copies of one text prove in a day.

    A student that knows one text is right on all its near copies, so a day on which they come in a burst says next to
    nothing about other days. What is capped follows from the texts and their days alone, never from a verdict, so the
    gates stay valid. A group that comes every day is traffic like any other: it may have twice its usual number.
    """

    def __init__(self, share: float = MIN_DAILY_SHARE) -> None:
        self._share = share
        self._groups = NearCopyGroups()
        self._days: dict[str, Counter[date]] = {}
        self._totals: Counter[date] = Counter()

    def record(self, text: str, day: date) -> str:
        """Count a text on a day; the name of its group."""
        name = self._groups.assign(masked_word_hashes(text))
        self._totals[day] += 1
        self._days.setdefault(name, Counter())[day] += 1
        return name

    def limit(self, group: str, day: date) -> int:
        """How many verdicts of a group may count on a day."""
        known = self._days.get(group)
        # 0.05 * 200 is a hair above 10 in floats.
        own = ceil(self._share * self._totals[day] - 1e-9)
        others = [other for other in self._totals if other != day]
        if known is None or len(others) < _KNOWN_DAYS:
            return max(1, own)
        return max(1, own, ceil(2 * median(known[other] for other in others)))

    def admit(self, group: str | None, day: date, made: Counter[tuple[str, date]]) -> bool:
        """Whether one more verdict of a group may count on a day, of which so many were made; it then counts there."""
        if group is None:
            return True
        made[group, day] += 1
        return made[group, day] <= self.limit(group, day)

    def expire(self, now: date) -> None:
        """Let go of days long past, and of the texts that came on those alone."""
        first = now - _RETENTION
        self._totals = _since(self._totals, first)
        for name, days in list(self._days.items()):
            kept = self._days[name] = _since(days, first)
            came_once = kept.total() < 2 and max(kept, default=first) < now - timedelta(days=1)
            if not kept or came_once:
                del self._days[name]
                self._groups.remove(name)

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        groups = {name: [sorted(self._groups.words(name)), _to_json(days)] for name, days in self._days.items()}
        return {"share": self._share, "totals": _to_json(self._totals), "groups": groups}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The groups that `state` was taken from."""
        copies = cls(state.get("share", MIN_DAILY_SHARE))
        copies._totals = _from_json(state["totals"])
        for words, days in state["groups"].values():
            copies._days[copies._groups.create(frozenset(words))] = _from_json(days)
        return copies


def _since(days: Counter[date], first: date) -> Counter[date]:
    return Counter({day: n for day, n in days.items() if day >= first})


def _to_json(days: Counter[date]) -> dict[str, int]:
    return {day.isoformat(): n for day, n in days.items()}


def _from_json(saved: Mapping[str, int]) -> Counter[date]:
    return Counter({date.fromisoformat(day): n for day, n in saved.items()})
