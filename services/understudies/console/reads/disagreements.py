"""Read the disagreements of a task, newest first, with both answers and what people think of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import orjson
from pydantic import ValidationError

from understudies.events import Message, Request, Response
from understudies.judges.answer_text import MAX_SHOWN_CHARACTERS, answer_text
from understudies.observer.totals import refresh_totals
from understudies.runtime.store import Store

PAGE_SIZE: Final = 10
MAX_SEARCH_CHARACTERS: Final = 200
_SEARCHED: Final = 5_000
"""Disagreements, the newest, whose requests a search reads."""
_WINDOW_CALLS: Final = 100_000
"""Calls, the newest, among which it looks for their requests, to the hour: each has to be passed over.

Among so many of its own calls a page of a tenant's disagreements looks for their verdicts.
"""
_EXPORTED_AT_ONCE: Final = 100
_END: Final = datetime(2200, 1, 1, tzinfo=UTC)

# The inner limit ends reading once enough is found, which LIMIT BY alone would not: ten deliveries of one verdict fit.
_PAGE: Final = """
SELECT * FROM (
    SELECT id, at, invocation, student, phase, judge, why, confidence, answer_class, student_answer
    FROM verdicts
    WHERE task = {task:String} AND NOT agreed AND phase != 'self_agreement'{more}
    ORDER BY task DESC, at DESC, id DESC
    LIMIT {most:UInt32} * 10
)
ORDER BY at DESC, id DESC
LIMIT 1 BY id
LIMIT {most:UInt32}
"""
# Of agreements, only those of judges that err have the student's answer. In an order by which nobody chooses: what
# people mark is a random sample.
_AGREEMENTS: Final = """
SELECT id, at, invocation, student, phase, judge, why, confidence, answer_class, student_answer
FROM verdicts
WHERE task = {task:String} AND agreed AND student_answer IS NOT NULL AND phase != 'self_agreement'{more}
ORDER BY cityHash64(id), id
LIMIT 1 BY id
LIMIT {most:UInt32}
"""
_MARKED_VERDICTS: Final = """
SELECT id, at, invocation, student, phase, judge, why, confidence, answer_class, student_answer, agreed
FROM verdicts
WHERE task = {task:String} AND phase != 'self_agreement'
    AND id IN (SELECT verdict FROM marks FINAL WHERE task = {task:String} AND mark != '')
ORDER BY id
LIMIT 1 BY id
"""
_OF_STUDENT: Final = " AND student = {student:String}"
_BEFORE: Final = " AND (at, id) < ({before_at:DateTime64(6, 'UTC')}, {before_id:String})"
_OF_TENANT: Final = """
    AND at >= {tenant_since:DateTime64(6, 'UTC')} AND invocation IN (
        SELECT id FROM invocations
        WHERE task = {task:String} AND tenant = {tenant:String}
            AND at >= {tenant_since:DateTime64(6, 'UTC')} - toIntervalHour(1)
    )"""
_MARKED: Final = " AND id IN (SELECT verdict FROM marks FINAL WHERE task = {task:String} AND mark = {mark:String})"
_UNMARKED: Final = " AND id NOT IN (SELECT verdict FROM marks FINAL WHERE task = {task:String} AND mark != '')"
_SEARCH: Final = """
    AND (positionCaseInsensitiveUTF8(ifNull(student_answer, ''), {text:String}) > 0
        OR positionCaseInsensitiveUTF8(ifNull(why, ''), {text:String}) > 0
        OR positionCaseInsensitiveUTF8(ifNull(answer_class, ''), {text:String}) > 0
        OR invocation IN (
            SELECT id FROM invocations
            WHERE task = {task:String} AND at >= {searched_since:DateTime64(6, 'UTC')} AND id IN (
                SELECT invocation FROM verdicts
                WHERE task = {task:String} AND NOT agreed AND phase != 'self_agreement'
                ORDER BY task DESC, at DESC LIMIT {searched:UInt32}
            ) AND positionCaseInsensitiveUTF8(request, {text:String}) > 0
        ))"""
_WINDOW: Final = """
SELECT toDateTime64(minIf(hour, later < {most:UInt32}), 6, 'UTC') AS since, min(hour) < since AS has_older FROM (
    SELECT hour, sum(sum(calls)) OVER (ORDER BY hour DESC) - sum(calls) AS later FROM invocation_hours FINAL
    WHERE task = {task:String} AND hour <= {until:DateTime64(6, 'UTC')} AND {tenant:String} IN ('', tenant)
    GROUP BY hour
)
"""
# A verdict has the time of the call that it compares. An audited call came a moment before its audit, whose time the
# verdict has: the span keeps what is read short.
_CALLS: Final = """
SELECT id, audits, served_by, tenant, request, response
FROM invocations
WHERE task = {task:String} AND (at IN {times:Array(DateTime64(6, 'UTC'))}{more})
    AND (id IN {ids:Array(String)} OR audits IN {ids:Array(String)})
LIMIT 2 BY id
"""
_IN_SPAN: Final = " OR at BETWEEN {since_N:DateTime64(6, 'UTC')} AND {until_N:DateTime64(6, 'UTC')}"
_MARKS: Final = """
SELECT verdict, mark, by, note, at FROM marks FINAL WHERE task = {task:String} AND verdict IN {ids:Array(String)}
"""
_AUDIT_DELAY: Final = timedelta(hours=1)

Mark = Literal["right", "wrong"]
"""What a person thinks of the student's answer, whatever the judge said."""
MarkFilter = Literal["", "right", "wrong", "unmarked", "agreements"]
"""Disagreements by their mark, or the agreements of judges that err which nobody has marked yet."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A person's mark: who, when and why."""

    mark: Mark
    by: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A verdict that a student's answer is another than the teacher's; None where the call is not stored any more."""

    id: str
    at: datetime
    student: str
    phase: str
    judge: str
    why: str | None
    confidence: float | None
    conversation: Sequence[Message] | None
    teacher_answer: str | None
    student_answer: str | None
    tenant: str | None = None
    marked: Marked | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: a text, a student, and a mark; `before` is the time and id of the last one seen."""

    text: str = ""
    student: str = ""
    mark: MarkFilter = ""
    before: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class DisagreementPage:
    """One page, newest first; `next_before` leads to the next one, None at the end."""

    rows: Sequence[Disagreement]
    next_before: tuple[datetime, str] | None


async def fetch_disagreements(store: Store, task: str, search: Search, tenant: str | None = None) -> DisagreementPage:
    """Return a page of a task's disagreements; of one tenant's calls alone if it is named."""
    more, parameters = _conditions(search, tenant)
    window = None
    if search.text or tenant is not None:
        await refresh_totals(store)
    if search.text:
        parameters["searched_since"] = _format_time((await _find_window(store, task))["since"])
    if tenant is not None:
        window = await _find_window(store, task, tenant, search.before)
        parameters["tenant_since"] = _format_time(window["since"])
    is_check = search.mark == "agreements"
    sql = (_AGREEMENTS if is_check else _PAGE).replace("{more}", more)
    rows = await store.query(sql, {"task": task, "most": PAGE_SIZE + 1, **parameters})
    shown = rows[:PAGE_SIZE]
    calls = await _fetch_calls(store, task, shown, tenant) if shown else {}
    marks = await _fetch_marks(store, task, shown) if shown else {}
    return DisagreementPage(
        [_to_disagreement(row, calls, marks) for row in shown],
        None if is_check else _find_next(shown[-1] if len(rows) > PAGE_SIZE else None, window),
    )


async def fetch_marked_pairs(store: Store, task: str) -> list[dict[str, Any]]:
    """Return both answers of each marked verdict and what the person said, for `understudies judge`.

    Left out are those whose call is not stored any more, and answers that were cut.
    """
    rows = await store.query(_MARKED_VERDICTS, {"task": task})
    pairs = []
    for start in range(0, len(rows), _EXPORTED_AT_ONCE):
        some = rows[start : start + _EXPORTED_AT_ONCE]
        calls, marks = await _fetch_calls(store, task, some, None), await _fetch_marks(store, task, some)
        for row in some:
            one = _to_disagreement(row, calls, marks)
            answers = one.teacher_answer, one.student_answer
            if (
                one.marked is None
                or not all(answers)
                or any(len(text or "") >= MAX_SHOWN_CHARACTERS for text in answers)
            ):
                continue
            pairs.append(
                {
                    "teacher": one.teacher_answer,
                    "student": one.student_answer,
                    "agree": one.marked.mark == "right",
                    "judge": one.judge,
                    "agreed": bool(row["agreed"]),
                    "by": one.marked.by,
                    "verdict": one.id,
                }
            )
    return pairs


async def _find_window(
    store: Store, task: str, tenant: str | None = None, before: tuple[datetime, str] | None = None
) -> dict[str, Any]:
    """Return since when the latest calls of a task were made, or those before a place, and whether there are older."""
    until = before[0] if before else _END
    parameters = {"task": task, "tenant": tenant or "", "until": _format_time(until), "most": _WINDOW_CALLS}
    (row,) = await store.query(_WINDOW, parameters)
    return row


def _find_next(last: Mapping[str, Any] | None, window: Mapping[str, Any] | None) -> tuple[datetime, str] | None:
    """Return where the next page begins: after the last one shown, or at the start of the window that was read."""
    if last is not None:
        return last["at"], last["id"]
    return (window["since"], "0") if window and window["has_older"] else None


async def is_known(store: Store, task: str, verdict: str) -> bool:
    """Return whether a disagreement of a task is stored, or an agreement by a judge that errs."""
    sql = (
        "SELECT 1 AS one FROM verdicts WHERE task = {task:String} AND id = {id:String} "
        "AND (NOT agreed OR student_answer IS NOT NULL) LIMIT 1"
    )
    return bool(await store.query(sql, {"task": task, "id": verdict}))


async def store_mark(
    store: Store, task: str, verdict: str, mark: Mark | Literal[""], *, by: str, note: str, at: datetime
) -> None:
    """Keep a person's mark of a disagreement; the latest holds, and an empty one takes it back."""
    row = {"task": task, "verdict": verdict, "at": at.isoformat(), "mark": mark, "by": by, "note": note}
    await store.insert("marks", [orjson.dumps(row)])


async def count_marks(store: Store, task: str) -> dict[str, int]:
    """Return how many disagreements of a task people marked right and wrong."""
    sql = "SELECT mark, count() AS n FROM marks FINAL WHERE task = {task:String} AND mark != '' GROUP BY mark"
    return {row["mark"]: row["n"] for row in await store.query(sql, {"task": task})}


def _conditions(search: Search, tenant: str | None) -> tuple[str, dict[str, Any]]:
    more, parameters = "", dict[str, Any]()
    if search.student:
        more, parameters["student"] = more + _OF_STUDENT, search.student
    if search.before is not None:
        more += _BEFORE
        parameters |= {"before_at": _format_time(search.before[0]), "before_id": search.before[1]}
    if tenant is not None:
        more, parameters["tenant"] = more + _OF_TENANT, tenant
    if search.mark in ("unmarked", "agreements"):
        more += _UNMARKED
    elif search.mark:
        more, parameters["mark"] = more + _MARKED, search.mark
    if search.text:
        more += _SEARCH
        parameters |= {"text": search.text[:MAX_SEARCH_CHARACTERS], "searched": _SEARCHED}
    return more, parameters


async def _fetch_calls(
    store: Store, task: str, rows: Sequence[Mapping[str, Any]], tenant: str | None
) -> dict[str, list[dict[str, Any]]]:
    """Return for each verdict's call its row, and that of its audit."""
    ids, times = [row["invocation"] for row in rows], [_format_time(row["at"]) for row in rows]
    parameters: dict[str, Any] = {"task": task, "ids": ids, "times": times}
    more = ""
    for number, row in enumerate(row for row in rows if row["phase"] == "audit"):
        more += _IN_SPAN.replace("_N", f"_{number}")
        parameters[f"since_{number}"] = _format_time(row["at"] - _AUDIT_DELAY)
        parameters[f"until_{number}"] = _format_time(row["at"])
    calls = await store.query(_CALLS.replace("{more}", more), parameters)
    return {
        row["id"]: [
            call
            for call in calls
            if row["invocation"] in (call["id"], call["audits"]) and tenant in (None, call["tenant"])
        ]
        for row in rows
    }


async def _fetch_marks(store: Store, task: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Marked]:
    found = await store.query(_MARKS, {"task": task, "ids": [row["id"] for row in rows]})
    return {row["verdict"]: Marked(row["mark"], row["by"], row["at"], row["note"]) for row in found if row["mark"]}


def _to_disagreement(
    row: Mapping[str, Any], calls: Mapping[str, Sequence[Mapping[str, Any]]], marks: Mapping[str, Marked]
) -> Disagreement:
    own = calls.get(row["id"], ())
    call = next((one for one in own if one["id"] == row["invocation"]), None)
    audit = next((one for one in own if one["audits"] == row["invocation"]), None)
    by_student = call is not None and call["served_by"] == "student"
    teacher = audit if by_student else call
    said = row["student_answer"]
    if said is None and by_student and row["phase"] == "audit":
        said = _read_answer(call)
    return Disagreement(
        id=row["id"],
        at=row["at"],
        student=row["student"],
        phase=row["phase"],
        judge=row["judge"],
        why=row["why"],
        confidence=row["confidence"],
        conversation=_read_conversation(call),
        teacher_answer=_read_answer(teacher) or row["answer_class"],
        student_answer=said,
        tenant=None if call is None else call["tenant"],
        marked=marks.get(row["id"]),
    )


def _read_conversation(call: Mapping[str, Any] | None) -> Sequence[Message] | None:
    try:
        return None if call is None else Request.model_validate_json(call["request"]).messages
    except ValidationError:
        return None


def _read_answer(call: Mapping[str, Any] | None) -> str | None:
    if call is None or not call["response"]:
        return None
    try:
        return answer_text(Response.model_validate_json(call["response"]).message)
    except ValidationError:
        return None


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
