"""Read what students saved lately, to project it to a month and a year."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from understudies.backtest.report.projection import SavingsProjection, project_savings
from understudies.events import usd
from understudies.runtime.store import Store

SPAN: Final = timedelta(days=7)

_RECENT: Final = """
SELECT task, min(hours.first_at) AS first_at, sumIf(hours.served, hour >= {since:DateTime64(6, 'UTC')}) AS served,
    sumIf(hours.student_cost_usd, hour >= {since:DateTime64(6, 'UTC')}) AS cost
FROM invocation_hours AS hours FINAL
WHERE hour < {until:DateTime64(6, 'UTC')} AND hours.calls + hours.audited > 0
GROUP BY task
"""


async def fetch_projection(store: Store, prices: Mapping[str, Decimal], now: datetime) -> SavingsProjection | None:
    """Project the savings of the last week, audits paid; None before a day of calls, or without a call served.

    `prices` are the teacher's mean prices by task, in US dollars.
    """
    since = (now - SPAN).replace(minute=0, second=0, microsecond=0)
    parameters = {"since": _format_time(since), "until": _format_time(now)}
    rows = await store.query(_RECENT, parameters)
    if not any(row["served"] for row in rows):
        return None
    saved = sum((row["served"] * prices.get(row["task"], Decimal(0)) - usd(row["cost"]) for row in rows), Decimal(0))
    # Of a week in which calls came on its last day alone, the other days count too, unless nothing had been called yet.
    return project_savings(usd(saved), now - max(since, min(row["first_at"] for row in rows)))


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
