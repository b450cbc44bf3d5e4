"""Read what a task's calls were and cost, by day."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.events import usd
from understudies.runtime.store import Store

# Calls are read in the order of the table's key, with no more columns than are counted. A call that was delivered twice
# counts twice until its parts are merged, which changes a chart by less than a pixel: FINAL would read every id.
_DAYS: Final = """
SELECT toStartOfDay(at) AS day,
    countIf(is_call) AS calls,
    countIf(is_call AND served_by = 'student') AS served,
    countIf(origin = 'audit') AS audited,
    sum(cost_usd) AS cost,
    countIf(is_teacher) AS teacher_calls,
    sumIf(cost_usd - route.student_cost_usd, is_teacher) AS teacher_cost,
    countIf(is_teacher AND cost_usd = 0 AND NOT free AND route.reason = '') AS unpriced
FROM (
    SELECT at, origin, served_by, cost_usd, free, route.student_cost_usd, route.reason,
        origin NOT IN ('audit', 'synthetic', 'imported') AND served_by != 'cache' AS is_call,
        is_call AND served_by = 'teacher' AND error IS NULL AS is_teacher
    FROM invocations
    WHERE {where}
)
GROUP BY day ORDER BY day
"""
_ONE_TASK: Final = "task = {task:String} AND origin NOT IN ('synthetic', 'imported')"
_ONE_TENANT: Final = f"{_ONE_TASK} AND tenant = {{tenant:String}}"
_TENANT_TASKS: Final = """
SELECT task, countIf(at >= {since:DateTime64(6, 'UTC')}) AS today,
    countIf(at >= {since:DateTime64(6, 'UTC')} AND served_by = 'student') AS served_today,
    count() AS calls, countIf(served_by = 'student') AS served
FROM invocations
WHERE tenant = {tenant:String} AND origin NOT IN ('audit', 'synthetic', 'imported') AND served_by != 'cache'
GROUP BY task ORDER BY task
"""


@dataclass(frozen=True, slots=True)
class DayActivity:
    """The calls of one day, UTC: how many, by whom, and what they cost in US dollars with audits.

    `unpriced` answers of the teacher came without a price.
    """

    at: datetime
    calls: int
    served: int
    audited: int
    cost: Decimal
    teacher_calls: int
    teacher_cost: Decimal
    unpriced: int

    def cost_with_students(self, teacher_price: Decimal) -> Decimal:
        """Return what the day cost, with the teacher's mean price for answers without one."""
        return usd(self.cost + self.unpriced * teacher_price)

    def cost_without_students(self, teacher_price: Decimal) -> Decimal:
        """Return what the day would have cost if the teacher had answered every call."""
        return usd(self.teacher_cost + (self.unpriced + self.served) * teacher_price)


@dataclass(frozen=True, slots=True)
class TenantTask:
    """A tenant's own calls of one task: those of today, UTC, and to date."""

    task: str
    today: int
    served_today: int
    calls: int
    served: int


async def fetch_days(store: Store, task: str, tenant: str | None = None) -> list[DayActivity]:
    """Return the days of a task, oldest first; of one tenant's calls alone if it is named."""
    sql = _DAYS.replace("{where}", _ONE_TASK if tenant is None else _ONE_TENANT)
    rows = await store.query(sql, {"task": task, **({} if tenant is None else {"tenant": tenant})})
    return [
        DayActivity(
            at=row["day"],
            calls=row["calls"],
            served=row["served"],
            audited=row["audited"],
            cost=usd(row["cost"]),
            teacher_calls=row["teacher_calls"],
            teacher_cost=usd(row["teacher_cost"]),
            unpriced=row["unpriced"],
        )
        for row in rows
    ]


async def fetch_tenant_tasks(store: Store, tenant: str, since: datetime) -> list[TenantTask]:
    """Return the tasks that a tenant has called, by name; `since` is the last midnight, UTC."""
    parameters = {"tenant": tenant, "since": since.strftime("%Y-%m-%d %H:%M:%S.%f")}
    return [TenantTask(**row) for row in await store.query(_TENANT_TASKS, parameters)]


def mean_teacher_price(days: list[DayActivity]) -> Decimal:
    """Return the mean price of a teacher's answer that has one; 0 without any."""
    calls = sum(day.teacher_calls - day.unpriced for day in days)
    return usd(sum((day.teacher_cost for day in days), Decimal(0)) / calls) if calls else Decimal(0)
