"""Detect changes of a task's calls: another teacher, shifted traffic, an unproven kind of day."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, NamedTuple, Self

from understudies.events import Cause
from understudies.persistence.fields import SORTED
from understudies.persistence.saved_state import Key, SavedState
from understudies.runtime.rules.groups import day_group
from understudies.stats.gate import Gate
from understudies.stats.subgroups import SubgroupMonitor

_MIN_NEW_TEACHER_CALLS: Final = 3
"""Answers of another model before it counts as a new teacher: a single one may be a provider's error."""
_MIN_DAY_TYPE_VERDICTS: Final = 60
"""Verdicts on calls of a kind of day that are needed to assess the student on it."""
_MAX_REJECT_EVIDENCE: Final = 1.5
"""The e-value against the required agreement up to which a kind of day counts as proven with the others."""


class CanaryRestriction(NamedTuple):
    """The cause and time since which a serving student is restricted to the canary share."""

    cause: Cause
    at: datetime


@dataclass(slots=True)
class ChangeMonitor(SavedState):
    """Detect changes after which a serving student must be proven again before it serves its full share."""

    day_types: Annotated[SubgroupMonitor, Key("days")]
    teachers: Annotated[set[str], SORTED] = field(default_factory=set)
    restriction: Annotated[CanaryRestriction | None, Key("hold")] = None
    _new_teachers: Counter[str] = field(default_factory=Counter)
    _seen_day_types: Annotated[set[str], SORTED, Key("seen_days")] = field(default_factory=set)
    succeeded_at: datetime | None = None
    """When a successor took over that the student was proven against before; what came earlier is of no account."""

    @classmethod
    def create(cls, confidences: Iterable[float], teachers: Iterable[str], p0: float) -> Self:
        """Create a monitor without changes; `teachers` are the models whose answers the student learned from."""
        return cls(SubgroupMonitor(list(confidences), p_null=p0), set(teachers))

    def observe_teacher(self, model: str, at: datetime) -> CanaryRestriction | None:
        """Record the model that answered as the teacher; restrict if the student did not learn from it."""
        if not model or model in self.teachers or self.predates_teacher(at):
            return None
        if not self.teachers:
            # Restored from a snapshot without teachers: assume that the current one has always answered.
            self.teachers.add(model)
            return None
        self._new_teachers[model] += 1
        if self._new_teachers[model] < _MIN_NEW_TEACHER_CALLS:
            return None
        self.teachers.add(model)
        return self._restrict_anew(at)

    def predates_teacher(self, at: datetime) -> bool:
        """Return whether a call is from before a successor took over, and so tells of the teacher before."""
        return self.succeeded_at is not None and at < self.succeeded_at

    def on_succession(self, model: str, retired: Collection[str], at: datetime) -> None:
        """Record that a model has taken over from the retired ones; more answers of these are a change again."""
        self.teachers = (self.teachers - set(retired)) | {model}
        self._new_teachers.clear()
        self.succeeded_at = at

    def observe_verdict(self, at: datetime, score: float, confidence: float) -> None:
        """Record an unbiased verdict on a kind of day."""
        self.day_types.add([day_group(at)], score, confidence)

    def observe_served(self, at: datetime, threshold: float) -> CanaryRestriction | None:
        """Record a served call's kind of day; restrict if too few of its calls were judged.

        Under another restriction it is left open: that one may end before the kind of day was judged.
        """
        kind = day_group(at)
        if kind in self._seen_day_types:
            return None
        _, n = self.day_types.counts(kind, threshold)
        is_judged = n >= _MIN_DAY_TYPE_VERDICTS
        if self.restriction is not None and not is_judged:
            return None
        self._seen_day_types.add(kind)
        return None if is_judged else self._restrict("calendar", at)

    def on_retirement(self, at: datetime) -> CanaryRestriction | None:
        """Restrict a student whose teacher no longer answers, whatever answers under its name."""
        return self._restrict_anew(at)

    def on_coverage_shift(self, at: datetime) -> CanaryRestriction | None:
        """Restrict a student whose confident share of calls differs from the proven one."""
        return self._restrict("traffic", at)

    def _restrict_anew(self, at: datetime) -> CanaryRestriction | None:
        """Restrict for a change of the teacher: a proof under way began with the teacher before, and begins anew."""
        self.restriction = None
        return self._restrict("teacher", at)

    def _restrict(self, cause: Cause, at: datetime) -> CanaryRestriction | None:
        # A restriction that needs a whole new proof is not replaced by one that needs some verdicts.
        if self.restriction is not None and (self.restriction.cause != "calendar" or cause == "calendar"):
            return None
        self.restriction = CanaryRestriction(cause, at)
        return self.restriction

    def is_day_type_proven(self, threshold: float) -> bool:
        """Return whether the restricted kind of day is now shown to agree with the others."""
        if self.restriction is None or self.restriction.cause != "calendar":
            return False
        total, n = self.day_types.counts(day_group(self.restriction.at), threshold)
        return n >= _MIN_DAY_TYPE_VERDICTS and self._reject_evidence(total, n) <= _MAX_REJECT_EVIDENCE

    def failing_day_types(self, threshold: float) -> list[str]:
        """Return the kinds of day on which the student is shown to agree less than required.

        Empty if all judged kinds fail: then the kind of day is not the cause.
        """
        failing = self.day_types.failing_groups(threshold)
        judged = [kind for kind in ("day=weekday", "day=weekend") if self.day_types.counts(kind, threshold)[1]]
        return failing if len(failing) < len(judged) else []

    def _reject_evidence(self, total: float, n: int) -> float:
        return Gate.from_counts(round(total), n, p0=self.day_types.p_null).reject_e

    def lift(self) -> None:
        """Lift the restriction: the student is proven again."""
        self.restriction = None
