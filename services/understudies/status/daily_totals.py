"""Count the calls and costs of all tasks by day, and read only what is new."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from understudies.events import usd
from understudies.runtime.store import Store

# A call that was delivered twice counts twice until its parts are merged: FINAL would read every id.
_TOTALS: Final = """
SELECT task, toStartOfDay(at) AS day,
    countIf(is_call) AS calls, countIf(is_call AND served_by = 'student') AS served,
    countIf(is_teacher) AS teacher_calls, sumIf(cost_usd - route.student_cost_usd, is_teacher) AS teacher_cost,
    sum(cost_usd) AS cost, countIf(is_teacher AND cost_usd = 0 AND NOT free AND route.reason = '') AS unpriced
FROM (
    SELECT task, at, served_by, cost_usd, free, route.student_cost_usd, route.reason,
        origin NOT IN ('audit', 'synthetic', 'imported') AND served_by != 'cache' AS is_call,
        is_call AND served_by = 'teacher' AND error IS NULL AS is_teacher
    FROM invocations
    WHERE at >= {since:DateTime64(6, 'UTC')} AND origin NOT IN ('synthetic', 'imported')
)
GROUP BY task, day
"""
_EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
_READ_AGAIN: Final = timedelta(days=1)
"""How late a call may be stored and still be counted at the next look; others are counted by the next full one."""
_FULL_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TaskTotals:
    """The calls and costs of a task, in US dollars; `unpriced` answers of the teacher came without a price."""

    calls: int = 0
    served: int = 0
    teacher_calls: int = 0
    teacher_cost: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def teacher_price(self) -> Decimal | None:
        """The mean price of a teacher's answer that has one; None without any."""
        priced = self.teacher_calls - self.unpriced
        return usd(self.teacher_cost / priced) if priced else None

    @property
    def spent(self) -> Decimal:
        """What calls and audits cost, with the mean price for answers without one."""
        return usd(self.cost + self.unpriced * (self.teacher_price or Decimal(0)))

    @property
    def saved(self) -> Decimal:
        """What the served calls would have cost at the teacher's mean price, less what students and audits cost."""
        price = self.teacher_price or Decimal(0)
        return usd(self.teacher_cost + (self.unpriced + self.served) * price - self.spent)

    def plus(self, other: "TaskTotals") -> "TaskTotals":
        """Return the sum of two totals."""
        return replace(
            self,
            calls=self.calls + other.calls,
            served=self.served + other.served,
            teacher_calls=self.teacher_calls + other.teacher_calls,
            teacher_cost=usd(self.teacher_cost + other.teacher_cost),
            cost=usd(self.cost + other.cost),
            unpriced=self.unpriced + other.unpriced,
        )


class DailyTotals:
    """The totals of all tasks; days that are over are read once an hour, the others at every look."""

    def __init__(self) -> None:
        self._days: dict[tuple[str, datetime], TaskTotals] = {}
        self._full_at: datetime | None = None

    async def look(self, store: Store, now: datetime) -> Mapping[str, TaskTotals]:
        """Return the totals of each task to date."""
        if self._full_at is None or now - self._full_at >= _FULL_EVERY:
            self._days, self._full_at, since = {}, now, _EARLIEST
        else:
            day = (now - _READ_AGAIN).astimezone(UTC)
            since = day.replace(hour=0, minute=0, second=0, microsecond=0)
        rows = await store.query(_TOTALS, {"since": since.strftime("%Y-%m-%d %H:%M:%S.%f")})
        for row in rows:
            self._days[row["task"], row["day"]] = TaskTotals(
                row["calls"],
                row["served"],
                row["teacher_calls"],
                usd(row["teacher_cost"]),
                usd(row["cost"]),
                row["unpriced"],
            )
        totals: dict[str, TaskTotals] = {}
        for (task, _), counts in self._days.items():
            totals[task] = totals.get(task, TaskTotals()).plus(counts)
        return totals
