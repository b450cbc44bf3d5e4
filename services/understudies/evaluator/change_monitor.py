"""What changes about a task's calls: another teacher, other traffic, a kind of day that was not proven on."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from understudies.events import Cause
from understudies.runtime.rules.groups import day_group
from understudies.stats.gate import Gate
from understudies.stats.subgroups import SubgroupMonitor

_CALLS_OF_A_TEACHER: Final = 3
"""Answers of another model before it counts as another teacher: one may be a provider's slip."""
_VERDICTS_OF_A_DAY: Final = 60
"""Verdicts on calls of a kind of day before they say whether the student serves on it as well."""
_MOST_EVIDENCE: Final = 1.5
"""The evidence against the promised agreement up to which a kind of day is taken for proven with the others."""


@dataclass(frozen=True, slots=True)
class CanaryRestriction:
    """Why a student in service serves the canary share alone, and since when."""

    cause: Cause
    at: datetime


@dataclass(slots=True)
class ChangeMonitor:
    """Notices changes once a student is in service, each a reason to prove it anew before it serves its share again."""

    day_types: SubgroupMonitor
    teachers: set[str] = field(default_factory=set)
    restriction: CanaryRestriction | None = None
    _new_teachers: Counter[str] = field(default_factory=Counter)
    _seen_day_types: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, confidences: Iterable[float], teachers: Iterable[str], p0: float) -> Self:
        """Nothing has changed yet; `teachers` are the models whose answers the student learned from."""
        return cls(SubgroupMonitor(list(confidences), p_null=p0), set(teachers))

    def observe_teacher(self, model: str, at: datetime) -> CanaryRestriction | None:
        """Note who answered as the teacher; a hold where it is not one of those that the student learned from."""
        if not model or model in self.teachers:
            return None
        if not self.teachers:
            # Of a snapshot from before they were noted: who answers now is taken for who always did.
            self.teachers.add(model)
            return None
        self._new_teachers[model] += 1
        if self._new_teachers[model] < _CALLS_OF_A_TEACHER:
            return None
        self.teachers.add(model)
        return self._restrict("teacher", at)

    def observe_verdict(self, at: datetime, score: float, confidence: float) -> None:
        """Note an unbiased verdict of a kind of day."""
        self.day_types.add([day_group(at)], score, confidence)

    def observe_served(self, at: datetime, threshold: float) -> CanaryRestriction | None:
        """Note that calls of a kind of day come while the student serves; a hold where too few of them were judged."""
        kind = day_group(at)
        if kind in self._seen_day_types:
            return None
        self._seen_day_types.add(kind)
        _, n = self.day_types.counts(kind, threshold)
        return None if n >= _VERDICTS_OF_A_DAY else self._restrict("calendar", at)

    def on_coverage_shift(self, at: datetime) -> CanaryRestriction | None:
        """Note that the student is sure of fewer or more calls than it was proven on."""
        return self._restrict("traffic", at)

    def _restrict(self, cause: Cause, at: datetime) -> CanaryRestriction | None:
        # What asks for a whole proof is not replaced by what asks for a look.
        if self.restriction is not None and (self.restriction.cause != "calendar" or cause == "calendar"):
            return None
        self.restriction = CanaryRestriction(cause, at)
        return self.restriction

    def is_day_type_proven(self, threshold: float) -> bool:
        """Whether the kind of day that the hold is for agrees with the others, by now."""
        if self.restriction is None or self.restriction.cause != "calendar":
            return False
        total, n = self.day_types.counts(day_group(self.restriction.at), threshold)
        return n >= _VERDICTS_OF_A_DAY and self._reject_evidence(total, n) <= _MOST_EVIDENCE

    def failing_day_types(self, threshold: float) -> list[str]:
        """The kinds of day on which the student is shown to agree less than it promises.

        None where all that were judged are such: then it is not the day.
        """
        failing = self.day_types.failing_groups(threshold)
        judged = [kind for kind in ("day=weekday", "day=weekend") if self.day_types.counts(kind, threshold)[1]]
        return failing if len(failing) < len(judged) else []

    def _reject_evidence(self, total: float, n: int) -> float:
        return Gate.from_counts(round(total), n, p0=self.day_types.p_null).reject_e

    def lift(self) -> None:
        """The student is proven again."""
        self.restriction = None

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "days": self.day_types.state(),
            "teachers": sorted(self.teachers),
            "hold": self.restriction and [self.restriction.cause, self.restriction.at.isoformat()],
            "new_teachers": dict(self._new_teachers),
            "seen_days": sorted(self._seen_day_types),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `state` was taken from."""
        changes = cls(SubgroupMonitor.from_state(state["days"]), set(state["teachers"]))
        if state["hold"]:
            cause, at = state["hold"]
            changes.restriction = CanaryRestriction(cause, datetime.fromisoformat(at))
        changes._new_teachers = Counter(state["new_teachers"])
        changes._seen_day_types = set(state["seen_days"])
        return changes
