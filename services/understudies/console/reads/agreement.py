"""Read how often students agreed with the teacher: by day, and which answer was taken for which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from understudies.backtest.report.leading import find_leading
from understudies.events import Promotion
from understudies.observer.totals import refresh_tenant_totals
from understudies.runtime.store import Store
from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_upper

_BY_DAY: Final = """
SELECT toDateTime64(totals.day, 6, 'UTC') AS day, student, sum(totals.sure_agreed) AS agreed,
    sum(totals.sure) AS compared
FROM verdict_days AS totals FINAL
WHERE task = {task:String} AND phase != 'self_agreement'
    AND threshold = transform(toString(student), {students:Array(String)}, {thresholds:Array(Float64)}, -1.)
GROUP BY day, student HAVING compared > 0 ORDER BY day
"""
_BY_DAY_OF_TENANT: Final = """
SELECT toDateTime64(totals.day, 6, 'UTC') AS day, student, sum(totals.sure_agreed) AS agreed,
    sum(totals.sure) AS compared
FROM tenant_verdict_days AS totals FINAL
WHERE task = {task:String} AND tenant = {tenant:String}
    AND threshold = transform(toString(student), {students:Array(String)}, {thresholds:Array(Float64)}, -1.)
GROUP BY day, student ORDER BY day
"""
_CONFUSION: Final = """
SELECT expected, said, sum(counted) AS n
FROM verdict_days FINAL
WHERE task = {task:String} AND student = {student:String} AND threshold = {threshold:Float64}
    AND expected != '' AND phase != 'self_agreement'
GROUP BY expected, said ORDER BY n DESC, expected, said LIMIT 5000
"""
_OF_TENANT: Final = """
    AND invocation IN (SELECT id FROM invocations WHERE task = {task:String} AND tenant = {tenant:String})"""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayAgreement:
    """How often a student agreed in the verdicts known at a day's end, and in those of the day alone."""

    student: str
    agreed: int
    compared: int
    day_agreed: int
    day_compared: int

    @property
    def share(self) -> float | None:
        """The share of all verdicts so far that agreed; None without any."""
        return self.agreed / self.compared if self.compared else None

    @property
    def lower(self) -> float | None:
        """Its lower bound, valid at every look."""
        return anytime_lower_bound(self.agreed, self.compared) if self.compared else None

    @property
    def upper(self) -> float | None:
        """Its upper bound."""
        return clopper_pearson_upper(self.agreed, self.compared) if self.compared else None

    @property
    def day_share(self) -> float | None:
        """The share of the day's verdicts that agreed; None without any."""
        return self.day_agreed / self.day_compared if self.day_compared else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often an answer of the teacher was met with an answer of the student, by their classes; "" is no class."""

    counts: Mapping[tuple[str, str], int]

    @property
    def total(self) -> int:
        """The number of verdicts."""
        return sum(self.counts.values())

    def classes(self, most: int) -> list[str]:
        """Return the classes in most disagreements, then the most frequent ones; at most `most`."""
        wrong: dict[str, int] = {}
        every: dict[str, int] = {}
        for (teacher, student), n in self.counts.items():
            for name in {teacher, student}:
                every[name] = every.get(name, 0) + n
                wrong[name] = wrong.get(name, 0) + (n if teacher != student else 0)
        return sorted(every, key=lambda name: (-wrong[name], -every[name], name))[:most]


async def fetch_agreement(
    store: Store, task: str, promotions: Sequence[Promotion], days: Sequence[datetime], tenant: str | None = None
) -> dict[datetime, DayAgreement]:
    """Return for each of the days the agreement of the student that led the task: the one in force, else on trial.

    Verdicts count from the confidence on from which that student serves.
    """
    thresholds = find_thresholds(promotions)
    if not thresholds:
        return {}
    parameters: dict[str, Any] = {"task": task, "students": [*thresholds], "thresholds": [*thresholds.values()]}
    if tenant is None:
        rows = await store.query(_BY_DAY, parameters)
    else:
        await refresh_tenant_totals(store)
        rows = await store.query(_BY_DAY_OF_TENANT, {**parameters, "tenant": tenant})
    found: dict[datetime, DayAgreement] = {}
    for day in days:
        leading = find_leading(promotions, day, day + _DAY)
        if leading is None:
            continue
        known = [row for row in rows if row["student"] == leading and row["day"] <= day]
        of_day = [row for row in known if row["day"] == day]
        found[day] = DayAgreement(
            leading,
            sum(row["agreed"] for row in known),
            sum(row["compared"] for row in known),
            sum(row["agreed"] for row in of_day),
            sum(row["compared"] for row in of_day),
        )
    return found


def find_thresholds(promotions: Sequence[Promotion]) -> dict[str, float]:
    """Return the confidence from which each student serves, the latest; 0 for one that has none."""
    thresholds: dict[str, float] = {}
    for event in promotions:
        if event.steering is None:
            before = thresholds.get(event.student, 0.0)
            thresholds[event.student] = before if event.threshold is None else event.threshold
    return thresholds


async def fetch_confusion(store: Store, task: str, student: str, threshold: float) -> Confusion:
    """Return the confusion of a student's answers; empty where they are not from a closed set.

    `threshold` is that from which the student serves: its totals are kept by that.
    """
    rows = await store.query(_CONFUSION, {"task": task, "student": student, "threshold": threshold})
    return Confusion({(row["expected"], row["said"]): row["n"] for row in rows})
