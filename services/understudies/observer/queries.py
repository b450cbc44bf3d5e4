"""What the store is asked for by others than the sink."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from understudies.events import Promotion
from understudies.runtime.store import Store

# Stages of one moment are told apart by their order in a student's life.
_STAGE_ORDER: Final = """
at, indexOf(['authorised', 'collected', 'trained', 'qualified', 'promoted', 'demoted', 'rejected', 'retired'], stage),
id
"""
_LATEST_PROMOTIONS: Final = f"""
SELECT *, row_number() OVER (PARTITION BY task, student ORDER BY {_STAGE_ORDER}) AS nth,
    count() OVER (PARTITION BY task, student) AS stages
FROM promotions FINAL
QUALIFY nth = stages
ORDER BY {_STAGE_ORDER}
"""
_SPENDING: Final = """
SELECT task, served_by, count() AS calls, sum(cost_usd) AS cost_usd, min(at) AS first_at, max(at) AS last_at,
    countIf(served_by = 'teacher' AND response IS NOT NULL AND invocations.cost_usd = 0 AND NOT free
        AND route.reason = '') AS unpriced
FROM invocations FINAL
GROUP BY task, served_by
ORDER BY task, served_by
"""


class TaskSpending(NamedTuple):
    """Calls of a task that one side served, and what they cost as recorded.

    `unpriced` of them came without a price and add nothing here; the budget's ledger prices them by model and usage.
    """

    task: str
    served_by: str
    calls: int
    cost_usd: Decimal
    first_at: datetime
    last_at: datetime
    unpriced: int


async def fetch_latest_promotions(store: Store) -> list[Promotion]:
    """The latest stage of every student, in the order in which they came."""
    return [_to_promotion(row) for row in await store.query(_LATEST_PROMOTIONS)]


async def fetch_stages(store: Store, task: str, student: str) -> set[str]:
    """The stages that a student has reached."""
    sql = "SELECT DISTINCT stage FROM promotions WHERE task = {task:String} AND student = {student:String}"
    return {row["stage"] for row in await store.query(sql, {"task": task, "student": student})}


async def fetch_spending(store: Store) -> list[TaskSpending]:
    """Calls and costs by task and by who served."""
    return [TaskSpending(**row) for row in await store.query(_SPENDING)]


def _to_promotion(row: Mapping[str, Any]) -> Promotion:
    return Promotion.model_validate({**row, "evidence": orjson.loads(row["evidence"])})
