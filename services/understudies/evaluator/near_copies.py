"""Near copies of one text, as an incident brings them by the thousand: how many of a day's may be evidence."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import ceil
from statistics import median
from typing import Any, Final, Self
from zlib import crc32

from understudies.events import masked

_ALIKE: Final = 0.7
"""Jaccard index of two texts' words from which they are near copies."""
_MOST_WORDS: Final = 120
_SHARE: Final = 0.05
"""The part of a day's verdicts that near copies of one text may always make."""
_KNOWN_DAYS: Final = 3
"""Days on which it must be known how often a text comes before it may come as often again."""
_KEPT: Final = timedelta(days=15)


@dataclass(slots=True)
class _Leader:
    """A text that others are near copies of, and on which days how many came."""

    words: frozenset[int]
    days: Counter[date] = field(default_factory=Counter)


class NearCopies:
    """Groups texts that are alike once numbers, dates and ids are masked, and caps what a group proves in a day.

    A student that knows one text is right on all its near copies, so a day on which they come in a burst says next to
    nothing about other days. What is capped follows from the texts and their days alone, never from a verdict, so the
    gates stay valid. A group that comes every day is traffic like any other: it may have twice its usual number.
    """

    def __init__(self) -> None:
        self._leaders: dict[str, _Leader] = {}
        # Texts with a Jaccard index of 0.7 share one of the rarest words of each; those alone are looked up.
        self._by_word: defaultdict[int, list[str]] = defaultdict(list)
        self._frequency: Counter[int] = Counter()
        self._totals: Counter[date] = Counter()

    def place(self, text: str, day: date) -> str:
        """Count a text on a day; the name of its group."""
        words = _words(text)
        self._totals[day] += 1
        name = self._alike(words) or self._lead(words)
        self._leaders[name].days[day] += 1
        return name

    def most(self, group: str, day: date) -> int:
        """How many verdicts of a group may count on a day."""
        known = self._leaders.get(group)
        own = ceil(_SHARE * self._totals[day])
        others = [other for other in self._totals if other != day]
        if known is None or len(others) < _KNOWN_DAYS:
            return max(1, own)
        return max(1, own, ceil(2 * median(known.days[other] for other in others)))

    def forget(self, now: date) -> None:
        """Let go of days long past, and of the texts that came on those alone."""
        first = now - _KEPT
        self._totals = Counter({day: n for day, n in self._totals.items() if day >= first})
        for name, leader in list(self._leaders.items()):
            leader.days = Counter({day: n for day, n in leader.days.items() if day >= first})
            seen_once = leader.days.total() < 2 and max(leader.days, default=first) < now - timedelta(days=1)
            if not leader.days or seen_once:
                del self._leaders[name]
                for word in leader.words:
                    if name in self._by_word.get(word, ()):
                        self._by_word[word].remove(name)

    def _alike(self, words: frozenset[int]) -> str | None:
        tried: set[str] = set()
        for word in _rarest(words, self._frequency):
            for name in self._by_word.get(word, ()):
                if name in tried or name not in self._leaders:
                    continue
                tried.add(name)
                other = self._leaders[name].words
                shared = len(words & other)
                if shared >= _ALIKE * (len(words) + len(other) - shared):
                    return name
        return None

    def _lead(self, words: frozenset[int]) -> str:
        self._frequency.update(words)
        name = f"{crc32(repr(sorted(words)).encode()):08x}-{len(words)}"
        self._leaders.setdefault(name, _Leader(words))
        for word in _rarest(words, self._frequency):
            self._by_word[word].append(name)
        return name

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "totals": {day.isoformat(): n for day, n in self._totals.items()},
            "groups": {
                name: [sorted(one.words), {day.isoformat(): n for day, n in one.days.items()}]
                for name, one in self._leaders.items()
            },
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The groups that `state` was taken from."""
        copies = cls()
        copies._totals = _days(state["totals"])
        for name, (words, days) in state["groups"].items():
            leader = _Leader(frozenset(words), _days(days))
            copies._leaders[name] = leader
            copies._frequency.update(leader.words)
        for name, leader in copies._leaders.items():
            for word in _rarest(leader.words, copies._frequency):
                copies._by_word[word].append(name)
        return copies


def _words(text: str) -> frozenset[int]:
    """The words of a text without numbers, dates and ids, by their checksums."""
    words = dict.fromkeys(masked(text).split())
    return frozenset(crc32(word.encode("utf-8", "surrogatepass")) for word in list(words)[:_MOST_WORDS])


def _rarest(words: frozenset[int], frequency: Counter[int]) -> list[int]:
    """So many of the rarest words that two near copies share one of them, however the others fall."""
    most = len(words) - ceil(_ALIKE * len(words)) + 1
    return sorted(words, key=lambda word: (frequency[word], word))[:most]


def _days(saved: Mapping[str, int]) -> Counter[date]:
    return Counter({date.fromisoformat(day): n for day, n in saved.items()})
