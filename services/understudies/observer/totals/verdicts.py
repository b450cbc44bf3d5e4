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
# Totals of another threshold than the present one are left behind, and read by nobody.
_CHANGED: Final = f"""
SELECT task, student
FROM (SELECT DISTINCT task, student, day, threshold FROM verdict_days) AS counted
LEFT ANY JOIN ({STUDENT_THRESHOLDS}) AS t ON counted.task = t.task AND counted.student = t.student
GROUP BY task, student
HAVING uniqExact(day) > uniqExactIf(day, counted.threshold = t.threshold)
"""
VERDICT_TOTALS: Final = Rollup("verdict_days", "verdicts", _COUNT.replace("{where}", _OF_DAYS))


async def recount_changed_thresholds(store: Store) -> None:
    """Count all days of the students that serve from another confidence than before."""
    for student in await store.query(_CHANGED):
        await store.command(_COUNT.replace("{where}", _OF_STUDENT), student)
