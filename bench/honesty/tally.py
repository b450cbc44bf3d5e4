"""What a scenario showed over all its seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.honesty.counts import Counts
from bench.honesty.outcome import Outcome

from understudies.stats import clopper_pearson_lower, clopper_pearson_upper

_FEWEST = 30
"""Served calls of a day or group from which its agreement is told."""


@dataclass(frozen=True, slots=True)
class Kept:
    """In how many of the trials the promise was kept, with a 95% confidence interval for the chance of that."""

    kept: int
    of: int

    @classmethod
    def among(cls, parts: Iterable[Counts]) -> "Kept":
        """Where nothing was served, it was kept."""
        found = [part.kept for part in parts]
        return cls(sum(found), len(found))

    @property
    def interval(self) -> tuple[float, float]:
        return clopper_pearson_lower(self.kept, self.of, 0.025), clopper_pearson_upper(self.kept, self.of, 0.025)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.kept} of {self.of} kept ({low:.2f}-{high:.2f})" if self.of else "-"

    def plain(self) -> dict[str, Any]:
        low, high = self.interval
        return {"kept": self.kept, "of": self.of, "low": round(low, 3), "high": round(high, 3)}


@dataclass(frozen=True, slots=True)
class Tally:
    """The seeds of one scenario; `watched` are the classes that the worst one is sought among, all where none is."""

    scenario: str
    seeds: Sequence[Outcome]
    watched: frozenset[str] = frozenset()
    changes: bool = False

    @property
    def pooled(self) -> Counts:
        return Counts.sum(seed.all for seed in self.seeds)

    @property
    def least(self) -> float | None:
        """The least agreement of a seed that served enough to tell."""
        return min((a for seed in self.seeds if (a := _told(seed.all)) is not None), default=None)

    @property
    def worst_day(self) -> float | None:
        return min(
            (a for seed in self.seeds for day in seed.days.values() if (a := _told(day)) is not None), default=None
        )

    @property
    def worst_group(self) -> tuple[str, Counts] | None:
        """The group with the least agreement, its seeds taken together."""
        names = sorted({name for seed in self.seeds for name in seed.groups})
        pooled = {name: Counts.sum(seed.groups[name] for seed in self.seeds if name in seed.groups) for name in names}
        told = {name: a for name, counts in pooled.items() if (a := _told(counts)) is not None}
        worst = min(told, key=lambda name: told[name], default=None)
        return None if worst is None else (worst, pooled[worst])

    @property
    def worst_class(self) -> tuple[str, Counts] | None:
        """The class of which one seed served the most calls wrongly."""
        all_ = [(n, c) for s in self.seeds for n, c in s.classes.items() if not self.watched or n in self.watched]
        return max(all_, key=lambda one: one[1].wrong, default=None)

    @property
    def kept(self) -> Kept:
        return Kept.among(seed.all for seed in self.seeds)

    @property
    def kept_before(self) -> Kept:
        """By student, on what it served before anything changed."""
        return Kept.among(counts for seed in self.seeds for counts in seed.students.values())

    @property
    def idle(self) -> int:
        """The seeds in which nothing was served."""
        return sum(not seed.all.served for seed in self.seeds)

    @property
    def wrong(self) -> float:
        """Calls that were served wrongly, a log."""
        return self.pooled.wrong / len(self.seeds)

    @property
    def hit(self) -> list[Outcome]:
        """The seeds in which a student was in service when something changed."""
        return [seed for seed in self.seeds if seed.in_force]

    def plain(self) -> dict[str, Any]:
        """In the types of JSON."""
        group, class_ = self.worst_group, self.worst_class
        return {
            "scenario": self.scenario,
            "seeds": len(self.seeds),
            "served_share": round(self.pooled.share, 4),
            "agreement": _rounded(self.pooled.agreement),
            "agreement_min": _rounded(self.least),
            "worst_day": _rounded(self.worst_day),
            "worst_group": group and {"group": group[0], "agreement": _rounded(group[1].agreement)},
            "worst_class": class_ and {"class": class_[0], "wrong": class_[1].wrong, "calls": class_[1].calls},
            "wrong_a_log": round(self.wrong, 1),
            "kept": self.kept.plain(),
            "nothing_served": self.idle,
            "kept_by_student_before": self.kept_before.plain(),
            "change": self._answered() if self.changes else None,
            "seconds_median": round(median(seed.seconds for seed in self.seeds), 1),
            "cpu_seconds_median": round(median(seed.cpu_seconds for seed in self.seeds), 1),
            "each": [seed.plain() for seed in self.seeds],
        }

    def _answered(self) -> dict[str, Any]:
        days = [seed.answered_days for seed in self.hit if seed.answered_days is not None]
        wrong = [seed.wrong_until for seed in self.hit]
        return {
            "in_service": len(self.hit),
            "answered": len(days),
            "days_median": median(days) if days else None,
            "days_max": max(days, default=None),
            "wrong_until_mean": round(sum(wrong) / len(wrong), 1) if wrong else None,
            "wrong_until_max": max(wrong, default=None),
            "wrong_in_all_max": max((seed.wrong_since for seed in self.hit), default=None),
        }


def _told(counts: Counts) -> float | None:
    return counts.agreement if counts.served >= _FEWEST else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
