"""The verdicts of each day: how often a student agreed, above its threshold too, and which answer met which."""

from typing import Final

from understudies.observer.totals.rollup import Rollup
from understudies.runtime.store import Store

STUDENT_THRESHOLDS: Final = """
SELECT task, student, ifNull(argMaxIf(threshold, (at, id), threshold IS NOT NULL), 0.) AS threshold
FROM promotions WHERE steering.action = '' GROUP BY task, student
"""
"""The confidence from which each student serves, the latest; 0 for one that has none."""

_COUNT: Final = f"""
INSERT INTO verdict_days
SELECT task, student, day, phase, spot_check, threshold, expected, said, count() AS counted,
    countIf(is_same) AS agreed, countIf(is_sure) AS sure, countIf(is_sure AND is_same) AS sure_agreed,
    min(at) AS first_at, max(at) AS last_at
FROM (
    SELECT v.task AS task, v.student AS student, v.at AS at, toDate(v.at) AS day, v.phase AS phase,
        v.spot_check AS spot_check, v.agreed AS is_same, t.threshold AS threshold,
        ifNull(v.answer_class, '') AS expected, if(v.agreed, expected, ifNull(v.student_class, '')) AS said,
        v.confidence >= t.threshold AND (v.counts OR (v.phase = 'audit' AND NOT v.spot_check)) AS is_sure
    FROM verdicts AS v FINAL
    LEFT ANY JOIN ({STUDENT_THRESHOLDS}) AS t ON v.task = t.task AND v.student = t.student
    WHERE {{where}}
)
GROUP BY task, student, day, phase, spot_check, threshold, expected, said
"""
_OF_DAYS: Final = """
    v.at >= {first:DateTime64(6, 'UTC')} AND v.at < {last:DateTime64(6, 'UTC')} + toIntervalDay(1)
    AND (v.task, toStartOfDay(v.at)) IN (
        SELECT DISTINCT task, toStartOfDay(at) FROM verdicts
        WHERE stored_at >= {since:DateTime64(6, 'UTC')}
            AND at >= {first:DateTime64(6, 'UTC')} AND at < {last:DateTime64(6, 'UTC')} + toIntervalDay(1)
    )
"""
_OF_STUDENT: Final = "v.task = {task:String} AND v.student = {student:String}"
# A verdict names its call, which was made on the same day, or on the one before an audit. Days without a sure verdict
# have a row too: at a lower threshold they may have some.
_COUNT_BY_TENANT: Final = f"""
INSERT INTO tenant_verdict_days
SELECT task, tenant, student, day, threshold, countIf(is_sure) AS sure, countIf(is_sure AND is_same) AS sure_agreed
FROM (
    SELECT v.task AS task, c.tenant AS tenant, v.student AS student, toDate(v.at) AS day, t.threshold AS threshold,
        v.agreed AS is_same,
        v.confidence >= t.threshold AND (v.counts OR (v.phase = 'audit' AND NOT v.spot_check)) AS is_sure
    FROM verdicts AS v FINAL
    LEFT ANY JOIN ({STUDENT_THRESHOLDS}) AS t ON v.task = t.task AND v.student = t.student
    LEFT SEMI JOIN (
        SELECT task, id, tenant FROM invocations
        WHERE at >= {{first:DateTime64(6, 'UTC')}} - toIntervalDay(1)
            AND at < {{last:DateTime64(6, 'UTC')}} + toIntervalDay(1)
            AND id IN (
                SELECT invocation FROM verdicts
                WHERE at >= {{first:DateTime64(6, 'UTC')}} AND at < {{last:DateTime64(6, 'UTC')}} + toIntervalDay(1)
            )
    ) AS c ON v.task = c.task AND v.invocation = c.id
    WHERE v.phase != 'self_agreement' AND {{where}}
)
GROUP BY task, tenant, student, day, threshold
"""
# Totals of another threshold than the present one. Nobody reads them, and were it to come back, they would lack what
# came meanwhile.
_OUTDATED: Final = f"""
SELECT task, student, min(day) AS first, max(day) AS last, groupUniqArray(counted.threshold) AS thresholds
FROM (SELECT DISTINCT task, student, day, threshold FROM {{table:Identifier}}) AS counted
LEFT ANY JOIN ({STUDENT_THRESHOLDS}) AS t ON counted.task = t.task AND counted.student = t.student
WHERE counted.threshold != t.threshold
GROUP BY task, student
"""
_REMOVE_OUTDATED: Final = f"""
ALTER TABLE {{table:Identifier}} DELETE WHERE task = {{task:String}} AND student = {{student:String}}
    AND threshold IN {{thresholds:Array(Float64)}} AND (task, student, threshold) NOT IN ({STUDENT_THRESHOLDS})
SETTINGS mutations_sync = 1, allow_nondeterministic_mutations = 1
"""

VERDICT_TOTALS: Final = Rollup("verdict_days", "verdicts", _COUNT.replace("{where}", _OF_DAYS))
TENANT_VERDICT_TOTALS: Final = Rollup("tenant_verdict_days", "verdicts", _COUNT_BY_TENANT.replace("{where}", _OF_DAYS))
_RECOUNTS: Final = {
    VERDICT_TOTALS.name: _COUNT.replace("{where}", _OF_STUDENT),
    TENANT_VERDICT_TOTALS.name: _COUNT_BY_TENANT.replace("{where}", _OF_STUDENT),
}


async def recount_changed_thresholds(store: Store, rollup: Rollup) -> None:
    """Count all days of the students that serve from another confidence than before, then forget the earlier counts."""
    for row in await store.query(_OUTDATED, {"table": rollup.name}):
        days = {name: f"{row[name]:%Y-%m-%d} 00:00:00" for name in ("first", "last")}
        named = {"task": row["task"], "student": row["student"]}
        await store.command(_RECOUNTS[rollup.name], {**named, **days})
        await store.command(_REMOVE_OUTDATED, {**named, "thresholds": row["thresholds"], "table": rollup.name})
