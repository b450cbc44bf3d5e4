"""Read what happened to the tasks from the store."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, call_cost
from understudies.events import Usage, usd
from understudies.runtime.store import Store
from understudies.status.standing import CallCounts, LastDecision, StoryEvent
from understudies.status.waiting import CHANGES

_CALLS_SINCE: Final = """
SELECT task, sum(hours.calls) AS calls, sum(hours.served) AS served
FROM invocation_hours AS hours FINAL
WHERE hour >= {since:DateTime64(6, 'UTC')}{of_task}
GROUP BY task HAVING calls > 0
"""
_OF_TASK: Final = " AND task = {task:String}"
# What the teacher writes for a task (synthetic) has a daily budget of its own.
_SPENDING_SINCE: Final = """
SELECT task, tenant, sum(cost_usd) AS cost FROM invocations FINAL
WHERE at >= {since:DateTime64(6, 'UTC')} AND origin NOT IN ('imported', 'synthetic') GROUP BY task, tenant
"""
# The later of two events that are stored twice is the same event, so FINAL is not needed.
_LAST_ANSWERS: Final = """
SELECT task, argMax((model, usage, cost_usd - route.student_cost_usd, free, route.reason, at), at) AS last
FROM invocations
WHERE at >= {since:DateTime64(6, 'UTC')} AND served_by = 'teacher' AND error IS NULL
    AND origin NOT IN ('synthetic', 'succession')
GROUP BY task
"""
# One task's last answer is at the end of its part of the table, which is read backwards until there is one.
_LAST_ANSWER: Final = """
SELECT model, usage, cost_usd - route.student_cost_usd AS cost, free, route.reason AS reason, at
FROM invocations
WHERE task = {task:String} AND served_by = 'teacher' AND error IS NULL
    AND origin NOT IN ('synthetic', 'succession')
ORDER BY task DESC, at DESC
LIMIT 1
"""
_EVENTS: Final = """
SELECT task, at, if(steering.action = '', student, ifNull(steering.student, '')) AS student,
    if(steering.action = '', stage, 'by hand: ' || replaceAll(steering.action, '_', ' ')) AS what,
    if(steering.action = '', reason, steering.by || ': ' || reason) AS text, share, 0 AS audited, '' AS cause, id
FROM promotions FINAL
WHERE {task:String} IN ('', task)
UNION ALL
SELECT task, at, student, 'gate: ' || decision, reason, 0, 0, '', id FROM gate_decisions FINAL
WHERE {task:String} IN ('', task)
UNION ALL
SELECT task, at, student, 'drift: ' || tier, '', ifNull(agreement_after, -1), audited, if(drifted, '', cause), id
FROM drift FINAL WHERE {task:String} IN ('', task)
"""
_LAST_EVENTS: Final = f"SELECT * FROM ({_EVENTS}) ORDER BY at DESC, id DESC LIMIT 1 BY task"
_STORY: Final = f"""
SELECT * FROM (SELECT * FROM ({_EVENTS}) ORDER BY at DESC, id DESC LIMIT {{most:UInt32}}) ORDER BY at, id
"""
_FIRST_CALL: Final = """
SELECT at, model, origin = 'imported' AS was_imported,
    (SELECT sum(imported) FROM invocation_hours FINAL WHERE task = {task:String}) AS imported
FROM invocations WHERE task = {task:String} ORDER BY task, at, id LIMIT 1
"""
MAX_STORY_EVENTS: Final = 5000


async def fetch_calls_since(store: Store, since: datetime, task: str | None = None) -> dict[str, CallCounts]:
    """Return the calls of each task since the beginning of an hour, as of the last refresh of the totals.

    Of one task alone if it is named, as in the other queries of all tasks.
    """
    sql = _CALLS_SINCE.replace("{of_task}", "" if task is None else _OF_TASK)
    rows = await store.query(sql, {"since": _format_time(since), "task": task or ""})
    return {row["task"]: CallCounts(calls=row["calls"], served=row["served"]) for row in rows}


async def fetch_spending_today(store: Store, now: datetime) -> dict[tuple[str, str], Decimal]:
    """Return what was spent since the last midnight, UTC, audits included, in US dollars, by task and tenant."""
    rows = await store.query(_SPENDING_SINCE, {"since": _format_time(start_of_day(now))})
    return {(row["task"], row["tenant"]): usd(row["cost"]) for row in rows}


async def fetch_tasks(store: Store) -> list[str]:
    """Return the tasks of which a call was stored at the last refresh of the totals, by name."""
    return [row["task"] for row in await store.query("SELECT DISTINCT task FROM invocation_hours ORDER BY task")]


async def fetch_price_sources(store: Store, since: datetime) -> dict[str, str]:
    """Return for each task where the price of its teacher's last answer since a time is from."""
    rows = await store.query(_LAST_ANSWERS, {"since": _format_time(since)})
    return {row["task"]: describe_price_source(*row["last"]) for row in rows}


async def fetch_price_source(store: Store, task: str) -> str | None:
    """Return where the price of the last answer of a task's teacher is from; None before the first."""
    rows = await store.query(_LAST_ANSWER, {"task": task})
    return describe_price_source(**rows[0]) if rows else None


async def fetch_last_decisions(store: Store, task: str | None = None) -> dict[str, LastDecision]:
    """Return the latest decision about each task."""
    rows = await store.query(_LAST_EVENTS, {"task": task or ""})
    return {
        row["task"]: LastDecision(at=row["at"], what=row["what"], student=row["student"], reason=_describe_event(row))
        for row in rows
    }


async def fetch_story(store: Store, task: str) -> list[StoryEvent]:
    """Return what happened to a task, oldest first: its first call, then every decision and alarm.

    Imported calls are those of the last refresh of the totals.
    """
    first = await store.query(_FIRST_CALL, {"task": task})
    rows = await store.query(_STORY, {"task": task, "most": MAX_STORY_EVENTS})
    begun = [StoryEvent(at=row["at"], what="first call", text=_describe_first_call(row)) for row in first]
    return [*begun, *_to_story(rows)]


def _describe_first_call(row: Mapping[str, Any]) -> str:
    of_log = ", of an imported log" if row["was_imported"] else ""
    return f"answered by {row['model'] or 'a model without a name'}{of_log}{_describe_imported(row['imported'])}"


def _describe_imported(calls: int) -> str:
    return f"; {calls:,} {'call was' if calls == 1 else 'calls were'} imported" if calls else ""


def _to_story(rows: list[dict[str, Any]]) -> Iterator[StoryEvent]:
    for row in rows:
        share = f" for {row['share']:.0%} of the eligible calls" if row["what"] == "promoted" else ""
        yield StoryEvent(at=row["at"], what=f"{row['what']}{share}", student=row["student"], text=_describe_event(row))


def _describe_event(row: Mapping[str, Any]) -> str:
    if not row["what"].startswith("drift"):
        return str(row["text"])
    if row["cause"]:
        return next((text for cause, text in CHANGES.items() if cause == row["cause"]), str(row["cause"]))
    after = "" if row["share"] < 0 else f" to {row['share']:.1%}"
    return f"agreement fell{after} after {row['audited']} audited verdicts"


def describe_price_source(
    model: str, usage: Mapping[str, Any], cost: Decimal, free: bool, reason: str, at: datetime
) -> str:
    """Return where the price of a teacher's answer is from: free, recorded, listed or assumed."""
    if free:
        return "free"
    used = Usage.model_validate(dict(usage))
    listed = call_cost(model, used, at=at)
    # Answers that a router recorded have the reason of their route, and are always priced; others at zero are not.
    is_unpriced = not cost and not reason
    if listed is None and (is_unpriced or cost == DEFAULT_TEACHER_CALL_USD):
        tier = f" at {used.details.service_tier}" if used.details and used.details.service_tier else ""
        return f"assumed, as no price of {model or 'its model'}{tier} is known"
    if listed is not None and (is_unpriced or cost == listed):
        return f"price list, {model}"
    return "set or recorded"


def start_of_day(now: datetime) -> datetime:
    """Return the last midnight, UTC."""
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
