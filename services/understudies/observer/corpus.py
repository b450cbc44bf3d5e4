"""The corpus of a task: its teacher's answers, one example for each input."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import JsonValue, ValidationError

from understudies.datasets.consent import CONSENT_TAG, GIVEN, REFUSED
from understudies.datasets.dataset import Example
from understudies.datasets.shared_parts import SharedParts
from understudies.datasets.teacher_lineage import terms_of
from understudies.economics.profile import TaskProfile
from understudies.events import BIASED, MEDIA_PARTS, Message, Request, Response, split_of, template_of
from understudies.observer.splits import DatedExample, assign_splits
from understudies.runtime.store import Store

# What is an answer is as in `Response.says_something`. A later answer replaces an earlier one, and any answer from
# traffic replaces a synthetic one. One call selected independently of a student's confidence is enough for its input to
# be unbiased evidence: see `Invocation.unbiased`.
_ANSWERED_INPUTS: Final = """
SELECT * FROM (
    SELECT
        fingerprint,
        argMax(id, (origin != 'synthetic', at, id)) AS last_id,
        argMax(at, (origin != 'synthetic', at, id)) AS last_at,
        argMax(model, (origin != 'synthetic', at, id)) AS teacher,
        argMax(tenant, (origin != 'synthetic', at, id)) AS last_tenant,
        argMax(request, (origin != 'synthetic', at, id)) AS question,
        argMax(assumeNotNull(response), (origin != 'synthetic', at, id)) AS answer,
        argMax(tuple(episode), (origin != 'synthetic', at, id)).1 AS last_episode,
        min(at) AS first_at,
        count() AS calls,
        arrayReverse(arrayMap(one -> one.3, groupArraySortedIf(21)(
            (-toUnixTimestamp64Micro(at), id, assumeNotNull(response)), origin != 'synthetic'
        ))) AS answers,
        max(origin != 'synthetic' AND route.reason NOT IN {biased:Array(String)}) AS drawn,
        max(origin != 'synthetic' AND route.reason NOT IN {biased:Array(String)} AND NOT training_only) AS fresh,
        min(origin = 'synthetic') AS synthetic,
        max(lower(tags[{consent_tag:String}]) IN {refused:Array(String)}) AS has_refused,
        min(origin = 'synthetic' OR lower(tags[{consent_tag:String}]) IN {given:Array(String)})
            AND NOT synthetic AS has_consented
    FROM invocations FINAL
    WHERE task = {task:String} AND served_by = 'teacher' AND response IS NOT NULL AND NOT hung_up
        AND (JSONHas(assumeNotNull(response), 'message', 'content')
            OR JSONHas(assumeNotNull(response), 'message', 'tool_calls'))
        AND JSONExtractString(assumeNotNull(response), 'finish_reason') NOT IN ('pause_turn', 'compaction')
        AND NOT arrayExists(
            part -> JSONExtractString(part, 'type') IN {media:Array(String)},
            JSONExtractArrayRaw(assumeNotNull(response), 'message', 'content')
        )
        AND route.reason != 'fallback'
        AND origin IN ('live', 'audit', 'imported', 'synthetic')
        AND at <= {until:DateTime64(6, 'UTC')} AND at >= {since:DateTime64(6, 'UTC')}
    GROUP BY fingerprint
    ORDER BY last_at DESC, last_id DESC
    LIMIT {most:UInt64}
)
ORDER BY last_at, last_id
"""
_NO_TENANT: Final = "default"
_EPOCH: Final = "1971-01-01 00:00:00"
_MAX_REPEATS: Final = 20
_ROWS_PER_BATCH: Final = 2000
"""Rows parsed in one call to a thread; the build can be cancelled between batches."""


@dataclass(frozen=True, slots=True)
class TaskCorpus:
    """The examples of a task, oldest first, with counts of the calls they come from and the task's profile."""

    task: str
    examples: tuple[Example, ...]
    calls: int
    unreadable: int
    profile: TaskProfile


async def read_task_corpus(
    store: Store, task: str, *, until: datetime, since: datetime | None, max_inputs: int
) -> TaskCorpus:
    """Read the newest `max_inputs` inputs that a task's teacher answered from `since` to `until`, inclusive."""
    parameters = {
        "task": task,
        "until": _format_time(until),
        "since": _format_time(since) if since else _EPOCH,
        "most": max_inputs,
        "biased": list(BIASED),
        "media": list(MEDIA_PARTS),
        "consent_tag": CONSENT_TAG,
        "given": list(GIVEN),
        "refused": list(REFUSED),
    }
    rows = await store.query(_ANSWERED_INPUTS, parameters)
    reader = _CorpusReader()
    # From the end, so that what is parsed is let go.
    rows.reverse()
    while rows:
        batch = rows[-_ROWS_PER_BATCH:]
        del rows[-_ROWS_PER_BATCH:]
        await asyncio.to_thread(reader.add_rows, batch[::-1])
    return await asyncio.to_thread(reader.build, task)


class _CorpusReader:
    """Accumulate rows into a corpus."""

    def __init__(self) -> None:
        self._read: list[DatedExample] = []
        self._shared = SharedParts()
        self._calls = 0
        self._unreadable = 0

    def add_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._calls += row["calls"]
            try:
                self._read.append(DatedExample(_to_example(row).with_parts_of(self._shared), row["first_at"]))
            except ValidationError:
                self._unreadable += 1

    def build(self, task: str) -> TaskCorpus:
        """Return the corpus of all rows; leave out synthetic inputs of any split but train."""
        examples: list[Example] = []
        profile = TaskProfile()
        for example in assign_splits(self._read):
            if example.synthetic and example.split != "train":
                continue
            examples.append(example)
            if not example.synthetic:
                _update_profile(profile, example)
        return TaskCorpus(task, tuple(examples), self._calls, self._unreadable, profile)


def _to_example(row: Mapping[str, Any]) -> Example:
    answer = Response.model_validate_json(row["answer"]).message
    return Example(
        id=row["last_id"],
        at=row["last_at"],
        fingerprint=row["fingerprint"],
        split=split_of(row["fingerprint"]),
        teacher=row["teacher"],
        request=Request.model_validate_json(row["question"]),
        answer=answer,
        unbiased=bool(row["drawn"]),
        training_only=True if row["drawn"] and not row["fresh"] else None,
        synthetic=True if row["synthetic"] else None,
        episode=row["last_episode"],
        tenant=row["last_tenant"] if row["last_tenant"] != _NO_TENANT else None,
        consent=False if row["has_refused"] else True if row["has_consented"] else None,
        terms=terms_of(row["teacher"]),
        calls=row["calls"],
        repeats=_earlier_answers(row["answers"], row["answer"]),
    )


def _earlier_answers(answers: Sequence[str], last: str) -> tuple[Message, ...]:
    """Return the answers to one input except the last."""
    others = list(answers)
    if last in others:
        others.remove(last)
    return tuple(Response.model_validate_json(answer).message for answer in others[-_MAX_REPEATS:])


def _update_profile(profile: TaskProfile, example: Example) -> None:
    template, answer = template_of(example.request), example.answer.text
    valid = _is_json(answer)
    for _ in range(example.calls):
        profile.update(template, answer, example.fingerprint, valid_json=valid, at=example.at)


def summarize_profile(profile: TaskProfile) -> dict[str, JsonValue]:
    """Return a summary of a task's profile, for the evidence of a promotion."""
    return {"kind": profile.kind, "verdict": profile.recommendation, "reason": profile.reason}


def _is_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict | list)
    except ValueError:
        return False


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
