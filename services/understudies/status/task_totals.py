"""Count the calls and costs of all tasks to date, from the totals of their hours."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from understudies.events import usd
from understudies.runtime.store import Store

_TOTALS: Final = """
SELECT task, sum(hours.calls) AS calls, sum(hours.served) AS served, sum(hours.teacher_calls) AS teacher_calls,
    sum(hours.teacher_cost_usd) AS teacher_cost, sum(hours.cost_usd) AS cost, sum(hours.unpriced) AS unpriced
FROM invocation_hours AS hours FINAL
WHERE hours.calls + hours.audited > 0{of_task}
GROUP BY task
"""


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


async def fetch_task_totals(store: Store, task: str | None = None) -> dict[str, TaskTotals]:
    """Return the totals of each task to date, as of their last refresh; of one alone if it is named."""
    sql = _TOTALS.replace("{of_task}", "" if task is None else " AND task = {task:String}")
    return {
        row["task"]: TaskTotals(
            calls=row["calls"],
            served=row["served"],
            teacher_calls=row["teacher_calls"],
            teacher_cost=usd(row["teacher_cost"]),
            cost=usd(row["cost"]),
            unpriced=row["unpriced"],
        )
        for row in await store.query(sql, {"task": task or ""})
    }
