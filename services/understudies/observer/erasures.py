"""Delete the calls of a tenant or of one request from the store, with all that quotes them."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from understudies.events import Utc
from understudies.observer.totals import forget_totals
from understudies.runtime.store import Store

_log = logging.getLogger(__name__)

_CALLS: Final = """
at <= {until:DateTime64(6, 'UTC')} AND ({tenant:String} = '' OR tenant = {tenant:String})
    AND ({fingerprint:String} = '' OR fingerprint = {fingerprint:String})
"""
_VERDICTS: Final = f"invocation IN (SELECT id FROM invocations WHERE {_CALLS})"
_MARKS: Final = f"verdict IN (SELECT id FROM verdicts WHERE {_VERDICTS})"
# What the teacher wrote for a task may resemble any of its calls, and the prompts for it quote some.
_WRITTEN: Final = f"origin = 'synthetic' AND task IN (SELECT task FROM invocations WHERE {_CALLS})"
_CALLS_AND_WRITTEN: Final = f"(({_CALLS}) OR ({_WRITTEN}))"
_CONDITIONS: Final = {"marks": _MARKS, "verdicts": _VERDICTS, "invocations": _CALLS_AND_WRITTEN}
# In an order that can be resumed: each condition reads the rows that go after it.
_STEPS: Final = (("marks", _MARKS), ("verdicts", _VERDICTS), ("invocations", _WRITTEN), ("invocations", _CALLS))
# Wait for all replicas. Their parts differ, and the subqueries read the same rows on each.
_SETTINGS: Final = "SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1"
_LATER_CALLS: Final = """
SELECT DISTINCT erasures.id AS id FROM invocations INNER JOIN erasures ON invocations.tenant = erasures.tenant
    WHERE invocations.at <= erasures.at AND erasures.fingerprint IN ('', invocations.fingerprint)
UNION DISTINCT
SELECT DISTINCT erasures.id AS id FROM invocations INNER JOIN erasures ON invocations.fingerprint = erasures.fingerprint
    WHERE invocations.at <= erasures.at AND erasures.tenant = ''
"""
_REPEAT_INTERVAL: Final = timedelta(hours=1)


class ErasedCalls(BaseModel):
    """The calls that are erased: of a tenant, with a request's fingerprint, or both, up to a moment.

    Synthetic calls of the same tasks go with them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(default="", max_length=200)
    fingerprint: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    until: Utc

    @model_validator(mode="after")
    def _name_something(self) -> Self:
        if not self.tenant and not self.fingerprint:
            raise ValueError("name a tenant or a fingerprint")
        return self

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the conditions."""
        until = self.until.strftime("%Y-%m-%d %H:%M:%S.%f")
        return {"tenant": self.tenant, "fingerprint": self.fingerprint, "until": until}

    async def count(self, store: Store) -> dict[str, int]:
        """Return how many rows of each table would go."""
        found: dict[str, int] = {}
        for table, condition in _CONDITIONS.items():
            [row] = await store.query(f"SELECT count() AS rows FROM {table} FINAL WHERE {condition}", self.parameters)
            found[table] = row["rows"]
        return found

    async def count_by_task(self, store: Store) -> dict[str, int]:
        """Return how many calls would go, by task."""
        sql = f"SELECT task, count() AS calls FROM invocations FINAL WHERE {_CALLS} GROUP BY task ORDER BY task"
        return {row["task"]: row["calls"] for row in await store.query(sql, self.parameters)}

    async def fetch_fingerprints(self, store: Store, task: str) -> frozenset[str]:
        """Return the fingerprints of a task's calls that would go."""
        sql = f"SELECT DISTINCT fingerprint FROM invocations WHERE task = {{task:String}} AND {_CALLS_AND_WRITTEN}"
        return frozenset(row["fingerprint"] for row in await store.query(sql, {**self.parameters, "task": task}))

    async def delete(self, store: Store) -> None:
        """Delete the rows from all tables; begun anew, it ends what an earlier attempt began."""
        for table, condition in _STEPS:
            await store.command(f"ALTER TABLE {table} DELETE WHERE {condition} {_SETTINGS}", self.parameters)
        await forget_totals(store)


class RepeatedErasures:
    """Erase calls again that came from a log, a spool or a topic after they had been erased."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._done_at: datetime | None = None

    async def repeat(self) -> None:
        """Delete what is there of calls that were erased before."""
        if not await self._store.query("SELECT 1 AS found FROM erasures LIMIT 1"):
            return
        for row in await self._store.query(_LATER_CALLS):
            calls = await fetch_erased_calls(self._store, row["id"])
            _log.warning("calls came again after erasure %s; erasing them again", row["id"])
            await calls.delete(self._store)

    async def repeat_due(self, now: datetime) -> None:
        """Do so once an hour."""
        if self._done_at is None or now - self._done_at >= _REPEAT_INTERVAL:
            await self.repeat()
            self._done_at = now


async def fetch_erased_calls(store: Store, erasure: str) -> ErasedCalls:
    """Return the calls that an erasure was about."""
    sql = "SELECT tenant, fingerprint, at FROM erasures FINAL WHERE id = {id:String}"
    [row] = await store.query(sql, {"id": erasure})
    return ErasedCalls(tenant=row["tenant"], fingerprint=row["fingerprint"], until=row["at"])


async def record_erasure(store: Store, calls: ErasedCalls, erasure: str, by: str, why: str, report: str) -> None:
    """Keep who erased what, when and why."""
    row = {
        "id": erasure,
        "at": calls.until.isoformat(),
        "tenant": calls.tenant,
        "fingerprint": calls.fingerprint,
        "by": by,
        "why": why,
        "report": report,
    }
    await store.insert("erasures", [orjson.dumps(row)])


async def fetch_reports(store: Store, calls: ErasedCalls) -> list[str]:
    """Return the reports of earlier erasures of the same tenant and request, oldest first."""
    sql = """
    SELECT report FROM erasures FINAL WHERE tenant = {tenant:String} AND fingerprint = {fingerprint:String}
    ORDER BY at, id
    """
    return [row["report"] for row in await store.query(sql, calls.parameters)]
