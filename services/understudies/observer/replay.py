"""Events back out of the store, in the order in which they came."""

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
    Promotion,
    Request,
    Response,
    Stage,
    Topic,
    Verdict,
)
from understudies.runtime.store import Store

_TABLES: Final[Mapping[str, Sequence[str]]] = {
    PROMOTIONS.name: ("promotions",),
    INVOCATIONS.name: ("invocations",),
    VERDICTS.name: ("verdicts", "gate_decisions"),
    DRIFT.name: ("drift",),
}
# What is told apart neither by when it was stored nor by when it happened: a call comes before its audit.
_RANK_BY_TABLE: Final[Mapping[str, str]] = {
    "invocations": "origin = 'audit'",
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
    """The events of the topics that were stored from a moment on, oldest first, at most so many at a time."""
    tables = [table for name, tables in _TABLES.items() if name in {topic.name for topic in topics} for table in tables]
    ahead = {table: _iter_rows(store, table, moment, max_events) for table in tables}
    heads = {table: row for table in tables if (row := await anext(ahead[table], None)) is not None}
    events: list[Event] = []
    while heads:
        table = min(heads, key=lambda name: heads[name]["stored_at"])
        events.append(_to_event(table, heads[table]))
        following = await anext(ahead[table], None)
        if following is None:
            del heads[table]
        else:
            heads[table] = following
        if len(events) == max_events or not heads:
            yield events
            events = []


async def missing_from_store(store: Store, events: Sequence[Event]) -> list[Event]:
    """Those of the events that the store has not."""
    ids = [event.id for event in events]
    of_any = (table for tables in _TABLES.values() for table in tables)
    sql = " UNION ALL ".join(f"SELECT id FROM {table} WHERE id IN {{ids:Array(String)}}" for table in of_any)
    known = {row["id"] for row in await store.query(sql, {"ids": ids})} if ids else set()
    return [event for event in events if event.id not in known]


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
            return Promotion.model_validate({**row, "evidence": orjson.loads(row["evidence"])})
        case _:
            return Drift.model_validate(row)


def _to_invocation(row: Mapping[str, Any]) -> Invocation:
    answer, route = row["response"], row["route"]
    read = {
        "request": Request.model_validate_json(row["request"]),
        "response": None if answer is None else Response.model_validate_json(answer),
        "route": route if route["reason"] else None,
    }
    return Invocation.model_validate({**row, **read})


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
