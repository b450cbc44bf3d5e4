"""The calls of each hour: how many, by whom, and what they cost."""

from typing import Final

from understudies.observer.totals.rollup import Rollup

_COUNT: Final = """
INSERT INTO invocation_hours
SELECT task, hour, tenant, count() AS counted, min(at) AS first_at,
    countIf(is_call) AS calls,
    countIf(is_call AND served_by = 'student') AS served,
    countIf(origin = 'audit') AS audited,
    countIf(origin = 'imported') AS imported,
    countIf(is_teacher) AS teacher_calls,
    countIf(is_teacher AND cost_usd = 0 AND NOT free AND route.reason = '') AS unpriced,
    sumIf(cost_usd, is_paid) AS cost,
    sumIf(cost_usd - route.student_cost_usd, is_teacher) AS teacher_cost,
    sumIf(cost_usd, is_paid AND (is_check OR served_by = 'student'))
        + sumIf(route.student_cost_usd, is_paid AND NOT is_check AND served_by = 'teacher') AS student_cost
FROM (
    SELECT task, at, toStartOfHour(at) AS hour, tenant, origin, served_by, cost_usd, free, route.student_cost_usd,
        route.reason, origin NOT IN ('synthetic', 'imported') AS is_paid,
        origin IN ('audit', 'succession') AS is_check,
        is_paid AND NOT is_check AND served_by != 'cache' AS is_call,
        is_call AND served_by = 'teacher' AND error IS NULL AS is_teacher
    FROM invocations FINAL
    WHERE at >= {first:DateTime64(6, 'UTC')} AND at < {last:DateTime64(6, 'UTC')} + toIntervalDay(1)
        AND (task, toStartOfHour(at)) IN (
            SELECT DISTINCT task, toStartOfHour(at) FROM invocations
            WHERE stored_at >= {since:DateTime64(6, 'UTC')}
                AND at >= {first:DateTime64(6, 'UTC')} AND at < {last:DateTime64(6, 'UTC')} + toIntervalDay(1)
        )
)
GROUP BY task, hour, tenant
"""
CALL_TOTALS: Final = Rollup("invocation_hours", "invocations", _COUNT)
