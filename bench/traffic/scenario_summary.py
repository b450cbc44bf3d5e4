"""What a scenario showed over all its seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.traffic.call_counts import CallCounts
from bench.traffic.log_outcome import LogOutcome

from understudies.stats.bounds import clopper_pearson_lower, clopper_pearson_upper

_MIN_SERVED = 30
"""Served calls of a day or group from which its agreement is told."""


@dataclass(frozen=True, slots=True)
class KeptCount:
    """In how many of the trials the promise was kept, with a 95% confidence interval for the chance of that."""

    kept: int
    total: int

    @classmethod
    def count(cls, parts: Iterable[CallCounts]) -> "KeptCount":
        """Where nothing was served, it was kept."""
        found = [part.is_promise_kept for part in parts]
        return cls(sum(found), len(found))

    @property
    def interval(self) -> tuple[float, float]:
        return clopper_pearson_lower(self.kept, self.total, 0.025), clopper_pearson_upper(self.kept, self.total, 0.025)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.kept} of {self.total} kept ({low:.2f}-{high:.2f})" if self.total else "-"

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {"kept": self.kept, "of": self.total, "low": round(low, 3), "high": round(high, 3)}


@dataclass(frozen=True, slots=True)
class ScenarioSummary:
    """The seeds of one scenario; `watched_classes` are those that the worst one is sought among, all where none is."""

    scenario: str
    seeds: Sequence[LogOutcome]
    watched_classes: frozenset[str] = frozenset()
    changes: bool = False

    @property
    def pooled(self) -> CallCounts:
        return CallCounts.sum(seed.all for seed in self.seeds)

    @property
    def lowest_agreement(self) -> float | None:
        """The least agreement of a seed that served enough to tell."""
        return min((a for seed in self.seeds if (a := _agreement_if_enough(seed.all)) is not None), default=None)

    @property
    def worst_day(self) -> float | None:
        return min(
            (a for seed in self.seeds for day in seed.days.values() if (a := _agreement_if_enough(day)) is not None),
            default=None,
        )

    @property
    def worst_group(self) -> tuple[str, CallCounts] | None:
        """The group with the least agreement, its seeds taken together."""
        names = sorted({name for seed in self.seeds for name in seed.groups})
        pooled = {
            name: CallCounts.sum(seed.groups[name] for seed in self.seeds if name in seed.groups) for name in names
        }
        told = {name: a for name, counts in pooled.items() if (a := _agreement_if_enough(counts)) is not None}
        worst = min(told, key=lambda name: told[name], default=None)
        return None if worst is None else (worst, pooled[worst])

    @property
    def worst_class(self) -> tuple[str, CallCounts] | None:
        """The class of which one seed served the most calls wrongly."""
        all_ = [
            (n, c)
            for s in self.seeds
            for n, c in s.classes.items()
            if not self.watched_classes or n in self.watched_classes
        ]
        return max(all_, key=lambda one: one[1].wrong, default=None)

    @property
    def promise_kept(self) -> KeptCount:
        return KeptCount.count(seed.all for seed in self.seeds)

    @property
    def promise_kept_before_change(self) -> KeptCount:
        """By student, on what it served before anything changed."""
        return KeptCount.count(counts for seed in self.seeds for counts in seed.students.values())

    @property
    def idle_count(self) -> int:
        """The seeds in which nothing was served."""
        return sum(not seed.all.served for seed in self.seeds)

    @property
    def mean_wrong(self) -> float:
        """Calls that were served wrongly, a log."""
        return self.pooled.wrong / len(self.seeds)

    @property
    def with_change(self) -> list[LogOutcome]:
        """The seeds in which a student was in service when something changed."""
        return [seed for seed in self.seeds if seed.in_force]

    def to_json(self) -> dict[str, Any]:
        """In the types of JSON."""
        group, class_ = self.worst_group, self.worst_class
        return {
            "scenario": self.scenario,
            "seeds": len(self.seeds),
            "served_share": round(self.pooled.share, 4),
            "agreement": _round_or_none(self.pooled.agreement),
            "agreement_min": _round_or_none(self.lowest_agreement),
            "worst_day": _round_or_none(self.worst_day),
            "worst_group": group and {"group": group[0], "agreement": _round_or_none(group[1].agreement)},
            "worst_class": class_ and {"class": class_[0], "wrong": class_[1].wrong, "calls": class_[1].calls},
            "wrong_a_log": round(self.mean_wrong, 1),
            "kept": self.promise_kept.to_json(),
            "nothing_served": self.idle_count,
            "kept_by_student_before": self.promise_kept_before_change.to_json(),
            "change": self._response_figures() if self.changes else None,
            "seconds_median": round(median(seed.seconds for seed in self.seeds), 1),
            "cpu_seconds_median": round(median(seed.cpu_seconds for seed in self.seeds), 1),
            "each": [seed.to_json() for seed in self.seeds],
        }

    def _response_figures(self) -> dict[str, Any]:
        days = [seed.withdrawn_after_days for seed in self.with_change if seed.withdrawn_after_days is not None]
        wrong = [seed.wrong_until for seed in self.with_change]
        return {
            "in_service": len(self.with_change),
            "answered": len(days),
            "days_median": median(days) if days else None,
            "days_max": max(days, default=None),
            "wrong_until_mean": round(sum(wrong) / len(wrong), 1) if wrong else None,
            "wrong_until_max": max(wrong, default=None),
            "wrong_in_all_max": max((seed.wrong_since for seed in self.with_change), default=None),
        }


def _agreement_if_enough(counts: CallCounts) -> float | None:
    return counts.agreement if counts.served >= _MIN_SERVED else None


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
