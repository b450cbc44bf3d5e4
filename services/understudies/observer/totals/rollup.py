"""Count anew what has changed since the last time, in a table that holds the totals of another.

Whole hours or days are counted, each event once however often it was delivered, and never added to: a refresh that is
repeated, interrupted, or run by two processes at once changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from understudies.runtime.store import Store

# What was stored ten minutes before the last refresh is looked at again: an insert takes a while from the time that its
# rows carry until they can be read on every replica. Where the checksum tells that nothing came, nothing is counted.
_PROGRESS: Final = """
SELECT now64(6, 'UTC') AS now,
    greatest(max(stored_until), toDateTime64('1971-01-01 00:00:00', 6, 'UTC')) - toIntervalMinute(10) AS since,
    argMax(checksum, stored_until) AS checksum
FROM rollup_progress WHERE name = {name:String}
"""
_STORED: Final = """
SELECT toStartOfDay(at) AS day, count() AS stored, sum(cityHash64(at, stored_at)) AS checksum,
    sumIf(cityHash64(at, stored_at), stored_at >= {now:DateTime64(6, 'UTC')} - toIntervalMinute(10)) AS next_checksum
FROM {table:Identifier}
WHERE stored_at >= {since:DateTime64(6, 'UTC')}
GROUP BY day ORDER BY day
"""
_SAVE_PROGRESS: Final = """
INSERT INTO rollup_progress (name, stored_until, checksum)
VALUES ({name:String}, {now:DateTime64(6, 'UTC')}, {checksum:UInt64})
"""
_EVENTS_AT_ONCE: Final = 500_000
"""Events stored since, in the days that one statement counts: others use the store between two statements."""
_MODULUS: Final = 2**64


@dataclass(frozen=True, slots=True)
class Rollup:
    """The totals of the events in `table`.

    `count` is the statement that writes the totals of the days from `first` to `last` of which events were stored
    `since` a time.
    """

    name: str
    table: str
    count: str


async def refresh_rollup(store: Store, rollup: Rollup) -> int:
    """Count what was stored since the last refresh, the first time all of it; returns how many events that were."""
    (progress,) = await store.query(_PROGRESS, {"name": rollup.name})
    now, since = format_time(progress["now"]), format_time(progress["since"])
    days = await store.query(_STORED, {"table": rollup.table, "now": now, "since": since})
    checksum, next_checksum = (sum(row[name] for row in days) % _MODULUS for name in ("checksum", "next_checksum"))
    if checksum != progress["checksum"]:
        for first, last in _to_spans(days):
            await store.command(rollup.count, {"first": format_time(first), "last": format_time(last), "since": since})
    if not checksum == next_checksum == progress["checksum"]:
        await store.command(_SAVE_PROGRESS, {"name": rollup.name, "now": now, "checksum": next_checksum})
    return sum(row["stored"] for row in days)


def _to_spans(days: Sequence[Mapping[str, Any]]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the first and the last of days that are counted at once."""
    span, stored = list[datetime](), 0
    for row in days:
        if span and stored + row["stored"] > _EVENTS_AT_ONCE:
            yield span[0], span[-1]
            span, stored = [], 0
        span.append(row["day"])
        stored += row["stored"]
    if span:
        yield span[0], span[-1]


def format_time(moment: datetime) -> str:
    """Return a time as a query's parameter."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
