"""Read what a task's calls were and cost, by day, from the totals of their hours."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.events import usd
from understudies.runtime.store import Store

_DAYS: Final = """
SELECT toDateTime64(toStartOfDay(hour), 6, 'UTC') AS day, sum(calls) AS calls, sum(served) AS served,
    sum(audited) AS audited, sum(cost_usd) AS cost, sum(teacher_calls) AS teacher_calls,
    sum(teacher_cost_usd) AS teacher_cost, sum(unpriced) AS unpriced
FROM invocation_hours FINAL
WHERE {where}
GROUP BY day HAVING calls > 0 OR audited > 0 ORDER BY day
"""
_ONE_TASK: Final = "task = {task:String}"
_ONE_TENANT: Final = f"{_ONE_TASK} AND tenant = {{tenant:String}}"
_TENANT_TASKS: Final = """
SELECT task, sumIf(hours.calls, hour >= {since:DateTime64(6, 'UTC')}) AS today,
    sumIf(hours.served, hour >= {since:DateTime64(6, 'UTC')}) AS served_today,
    sum(hours.calls) AS calls, sum(hours.served) AS served
FROM invocation_hours AS hours FINAL
WHERE tenant = {tenant:String}
GROUP BY task HAVING calls > 0 ORDER BY task
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
