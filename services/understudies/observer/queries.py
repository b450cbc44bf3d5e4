"""Read queries on the store, beside the sink and the corpus."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from understudies.events import Promotion
from understudies.runtime.store import Store

# Stages with the same timestamp are ordered as in a student's lifecycle.
_STAGE_ORDER: Final = """
at, indexOf(['authorised', 'collected', 'trained', 'qualified', 'promoted', 'demoted', 'rejected', 'retired'], stage),
id
"""
_LATEST_PROMOTIONS: Final = f"""
SELECT *, row_number() OVER (PARTITION BY task, student, steering ORDER BY {_STAGE_ORDER}) AS nth,
    count() OVER (PARTITION BY task, student, steering) AS stages
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
    """The calls of a task served by the teacher, a student or the cache, and their recorded cost.

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
    """Return the latest stage of every student and the decisions of people, in chronological order."""
    return [to_promotion(row) for row in await store.query(_LATEST_PROMOTIONS)]


async def fetch_stages(store: Store, task: str, student: str) -> set[str]:
    """Return the stages that a student has reached."""
    sql = "SELECT DISTINCT stage FROM promotions WHERE task = {task:String} AND student = {student:String}"
    return {row["stage"] for row in await store.query(sql, {"task": task, "student": student})}


async def fetch_spending(store: Store) -> list[TaskSpending]:
    """Return calls and costs by task and by what served them."""
    return [TaskSpending(**row) for row in await store.query(_SPENDING)]


def to_promotion(row: Mapping[str, Any]) -> Promotion:
    """Return the event of a row; rows of stages have an empty action."""
    steering = row["steering"] if row["steering"]["action"] else None
    return Promotion.model_validate({**row, "evidence": orjson.loads(row["evidence"]), "steering": steering})
