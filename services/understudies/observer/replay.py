"""Replay events from the store, in their original order."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, get_args

import orjson

from understudies.events import (
    DRIFT,
    INVOCATIONS,
    PROMOTIONS,
    VERDICTS,
    Drift,
    Event,
    GateDecision,
    Invocation,
    Request,
    Response,
    Stage,
    Topic,
    Verdict,
)
from understudies.observer.queries import to_promotion
from understudies.runtime.store import Store

_TABLES: Final[Mapping[str, Sequence[str]]] = {
    PROMOTIONS.name: ("promotions",),
    INVOCATIONS.name: ("invocations",),
    VERDICTS.name: ("verdicts", "gate_decisions"),
    DRIFT.name: ("drift",),
}
# Tie-break for equal storage and event times: a call comes before its audit, a stage before those that follow it.
_RANK_BY_TABLE: Final[Mapping[str, str]] = {
    "invocations": "origin IN ('audit', 'succession')",
    "promotions": f"indexOf({list(get_args(Stage))}, stage)",
}
_PAGE_QUERY: Final = """
SELECT *, stored_at, toUInt8({rank}) AS rank FROM {table} FINAL
WHERE (stored_at, at, rank, id)
    > ({{stored:DateTime64(6, 'UTC')}}, {{at:DateTime64(6, 'UTC')}}, {{rank:UInt8}}, {{id:String}})
ORDER BY stored_at, at, rank, id
LIMIT {{most:UInt32}}
"""
_EPOCH: Final = "1971-01-01 00:00:00"


async def replay_since(
    store: Store, moment: datetime, topics: Sequence[Topic], *, max_events: int = 2000
) -> AsyncIterator[list[Event]]:
    """Yield the events of the topics stored since a moment, oldest first, in batches of at most `max_events`."""
    tables = [table for name, tables in _TABLES.items() if name in {topic.name for topic in topics} for table in tables]
    rows = {table: _iter_rows(store, table, moment, max_events) for table in tables}
    heads = {table: row for table in tables if (row := await anext(rows[table], None)) is not None}
    events: list[Event] = []
    while heads:
        table = min(heads, key=lambda name: heads[name]["stored_at"])
        events.append(_to_event(table, heads[table]))
        next_row = await anext(rows[table], None)
        if next_row is None:
            del heads[table]
        else:
            heads[table] = next_row
        if len(events) == max_events or not heads:
            yield events
            events = []


async def missing_from_store(store: Store, events: Sequence[Event]) -> list[Event]:
    """Return the events that the store does not hold."""
    ids = [event.id for event in events]
    of_any = (table for tables in _TABLES.values() for table in tables)
    sql = " UNION ALL ".join(f"SELECT id FROM {table} WHERE id IN {{ids:Array(String)}}" for table in of_any)
    stored_ids = {row["id"] for row in await store.query(sql, {"ids": ids})} if ids else set()
    return [event for event in events if event.id not in stored_ids]


async def _iter_rows(store: Store, table: str, moment: datetime, most: int) -> AsyncIterator[Mapping[str, Any]]:
    sql = _PAGE_QUERY.format(table=table, rank=_RANK_BY_TABLE.get(table, "0"))
    after = {"stored": _format_time(moment), "at": _EPOCH, "rank": 0, "id": ""}
    while True:
        rows = await store.query(sql, {"most": most, **after})
        for row in rows:
            yield row
        if len(rows) < most:
            return
        last = rows[-1]
        after = {
            "stored": _format_time(last["stored_at"]),
            "at": _format_time(last["at"]),
            "rank": last["rank"],
            "id": last["id"],
        }


def _to_event(table: str, row: Mapping[str, Any]) -> Event:
    match table:
        case "invocations":
            return _to_invocation(row)
        case "verdicts":
            return Verdict.model_validate(row)
        case "gate_decisions":
            return GateDecision.model_validate({**row, "evidence": orjson.loads(row["evidence"])})
        case "promotions":
            return to_promotion(row)
        case _:
            return Drift.model_validate(row)


def _to_invocation(row: Mapping[str, Any]) -> Invocation:
    answer, route, usage = row["response"], row["route"], row["usage"]
    parsed = {
        "request": Request.model_validate_json(row["request"]),
        "response": None if answer is None else Response.model_validate_json(answer),
        "route": route if route["reason"] else None,
        "usage": {**usage, "details": usage["details"] if _has_details(usage["details"]) else None},
    }
    return Invocation.model_validate({**row, **parsed})


def _has_details(details: Mapping[str, Any]) -> bool:
    counts = (value for name, value in details.items() if name != "stated_cost_usd")
    return details["stated_cost_usd"] is not None or any(counts)


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
