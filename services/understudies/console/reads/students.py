"""Read what a student is: its files and origin, its stages, its verdicts and the decisions of its gates."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from understudies.console.reads.agreement import find_thresholds
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion
from understudies.observer.queries import to_promotion
from understudies.observer.totals import refresh_totals
from understudies.runtime.errors import RetryLater
from understudies.runtime.store import Store
from understudies.students.artifact import Manifest, read_manifest

MAX_EVENTS: Final = 2000
# Of more events than are read, the latest.
_PROMOTIONS: Final = """
SELECT * FROM (SELECT * FROM promotions FINAL WHERE task = {task:String} ORDER BY at DESC, id DESC LIMIT {most:UInt32})
ORDER BY at, id
"""
_VERDICTS: Final = """
SELECT phase, sum(totals.counted) AS compared, sum(totals.agreed) AS agreed, min(totals.first_at) AS first_at,
    max(totals.last_at) AS last_at
FROM verdict_days AS totals FINAL
WHERE task = {task:String} AND student = {student:String} AND threshold = {threshold:Float64}
    AND phase != 'self_agreement'
GROUP BY phase ORDER BY first_at
"""
_DECISIONS: Final = """
SELECT at, decision, threshold, coverage, reason FROM gate_decisions FINAL
WHERE task = {task:String} AND student = {student:String} ORDER BY at DESC, id LIMIT {most:UInt32}
"""
_LAST_EVIDENCE: Final = """
SELECT threshold, coverage, evidence FROM gate_decisions FINAL
WHERE task = {task:String} AND student = {student:String} ORDER BY at DESC, id DESC LIMIT 1
"""
_DRIFT: Final = """
SELECT at, student, tier, drifted, cause, audited, agreement_before, agreement_after FROM (
    SELECT * FROM drift FINAL WHERE task = {task:String} ORDER BY at DESC, id DESC LIMIT {most:UInt32}
)
ORDER BY at, id
"""
_MAX_DECISIONS: Final = 50


@dataclass(frozen=True, slots=True)
class PhaseVerdicts:
    """The verdicts on a student in one phase: held-out examples, shadow answers, or audits of what it served."""

    phase: str
    compared: int
    agreed: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class GateLook:
    """One decision of a student's gates."""

    at: datetime
    decision: str
    threshold: float | None
    coverage: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """An alarm, or a change after which a student must be proven again."""

    at: datetime
    student: str
    tier: str
    drifted: bool
    cause: str
    audited: int
    agreement_before: float | None
    agreement_after: float | None


@dataclass(frozen=True, slots=True)
class StudentDetails:
    """All that is known of a student; without a manifest, `unreadable` says why."""

    task: str
    student: str
    stages: Sequence[Promotion]
    manifest: Manifest | None
    unreadable: str
    verdicts: Sequence[PhaseVerdicts]
    decisions: Sequence[GateLook]


async def fetch_promotions(store: Store, task: str) -> list[Promotion]:
    """Return the stages of a task's students and people's decisions, in order."""
    rows = await store.query(_PROMOTIONS, {"task": task, "most": MAX_EVENTS})
    return [to_promotion(row) for row in rows]


async def fetch_drift(store: Store, task: str) -> list[DriftAlarm]:
    """Return the alarms of a task, in order."""
    return [DriftAlarm(**row) for row in await store.query(_DRIFT, {"task": task, "most": MAX_EVENTS})]


async def fetch_last_evidence(store: Store, task: str, student: str) -> Mapping[str, Any]:
    """Return the evidence of the last decision of a student's gates, with its threshold; empty before the first."""
    rows = await store.query(_LAST_EVIDENCE, {"task": task, "student": student})
    if not rows:
        return {}
    return {**orjson.loads(rows[0]["evidence"]), "threshold": rows[0]["threshold"], "coverage": rows[0]["coverage"]}


async def fetch_student(store: Store, files: ObjectStore | None, task: str, student: str) -> StudentDetails | None:
    """Return all that is known of a student; None if there is none of this name."""
    stages = [event for event in await fetch_promotions(store, task) if event.student == student and not event.steering]
    if not stages:
        return None
    named = {"task": task, "student": student}
    threshold = find_thresholds(stages).get(student, 0.0)
    await refresh_totals(store)
    verdicts = [PhaseVerdicts(**row) for row in await store.query(_VERDICTS, {**named, "threshold": threshold})]
    decisions = [GateLook(**row) for row in await store.query(_DECISIONS, {**named, "most": _MAX_DECISIONS})]
    artifact = next((event.artifact for event in reversed(stages) if event.artifact), None)
    manifest, unreadable = await _read_manifest(files, artifact)
    return StudentDetails(task, student, stages, manifest, unreadable, verdicts, decisions)


async def _read_manifest(files: ObjectStore | None, artifact: str | None) -> tuple[Manifest | None, str]:
    if artifact is None:
        return None, "it has no files yet: they are written when it is trained"
    if files is None:
        return None, "the artifacts are not read by this process"
    try:
        return await asyncio.to_thread(read_manifest, files, artifact), ""
    except (ArtifactError, RetryLater) as error:
        return None, str(error)
