"""Read chat transcripts, whose last message is the teacher's answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from understudies.importers.bodies import read_body
from understudies.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    find_cost,
    find_id,
    find_task,
    first_not_none,
    parse_tags,
    parse_time,
)
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.partial_call import PartialCall
from understudies.importers.usage import find_usage

_TIMES: Final = (
    "created",
    "created_at",
    "createdAt",
    "timestamp",
    "time",
    "date",
    "datetime",
    "ts",
    "start_time",
    "request_start_time",
)
_ANSWERS: Final = ("response", "completion", "answer")
_LESS_CERTAIN_ANSWERS: Final = ("output", "reply", "generation", "result", "prediction", "assistant", "chosen")
_ANSWERED: Final = frozenset({"assistant", "ai", "model", "gpt", "bot"})
_LATENCIES: Final = (
    *(("latency_ms", 1), ("duration_ms", 1), ("response_ms", 1)),
    *(("latency", 1000), ("latency_s", 1000), ("duration_s", 1000)),
)
"""Names of latencies with the milliseconds in their units."""
_USAGES: Final = ("usage", "usageMetadata", "usage_metadata", "tokens", "token_usage")
_CACHED: Final = ("cached", "cache_hit", "from_cache")
"""Names of what says that the answer came from a gateway's cache, and cost nothing."""
_SESSIONS: Final = ("session_id", "sessionid", "thread_id", "conversation_id")


def is_native(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a transcript, as in fine-tuning files."""
    return "messages" in record or isinstance(record.get("contents"), list)


def read_native(record: Mapping[str, Any]) -> PartialCall:
    """Read a transcript; a `response`, `completion` or `answer` beside the messages is the answer if there is one."""
    draft = read_common_fields(record)
    if "messages" not in record:  # as Gemini is tuned
        draft.messages, draft.request = read_body(record)
        draft.answer, draft.answer_in_messages = record.get("response"), True
        return draft
    draft.messages = record["messages"]
    draft.answer = _find_answer(record)
    last = draft.messages[-1] if isinstance(draft.messages, list) and draft.messages else None
    if isinstance(last, dict) and draft.answer is None and last.get("weight") == 0:
        raise NotARecordedCall("an answer of weight 0, which is not to be learned")
    draft.tool_calls = record.get("tool_calls")
    draft.answer_in_messages = True
    return draft


def _find_answer(record: Mapping[str, Any]) -> object:
    """Return an answer beside the messages; under less certain names only where the messages end without one."""
    answer = first_not_none(*(record.get(name) for name in _ANSWERS))
    messages = parse_embedded_json(record["messages"])
    last = as_mapping(messages[-1]) if isinstance(messages, list) and messages else {}
    if answer is not None or str(last.get("role", last.get("type"))).lower() in _ANSWERED:
        return answer
    if isinstance(record.get("choices"), list):
        return {"choices": record["choices"]}
    return first_not_none(*(record.get(name) for name in _LESS_CERTAIN_ANSWERS))


def read_common_fields(record: Mapping[str, Any]) -> PartialCall:
    """Read all fields of a record under their native names, except the messages."""
    usage = as_mapping(first_not_none(*(record.get(name) for name in _USAGES)))
    metadata = as_mapping(record.get("metadata"))
    tags = parse_tags(first_not_none(record.get("tags"), record.get("metadata")))
    return PartialCall(
        messages=None,
        request=record,
        model=as_text(record.get("model")) or "",
        usage=find_usage(usage, record),
        cost=find_cost(usage, record),
        at=_find_time(record),
        task=find_task(record, metadata, tags),
        tags=tags,
        latency_ms=find_latency(record),
        evidence=(record, *((reply,) if isinstance(reply := record.get("response"), dict) else ())),
        zero_is_known=True,
        free=any(as_flag(record[name]) for name in _CACHED if name in record),
        critical=as_flag(record.get("critical")) or as_flag(metadata.get("critical")),
        episode=find_id(("episode",), record, metadata) or find_id(_SESSIONS, record, metadata),
        finish_reason=first_not_none(record.get("finish_reason"), record.get("stop_reason")),
    )


def _find_time(record: Mapping[str, Any]) -> datetime | None:
    for name in _TIMES:
        if name in record and (at := parse_time(record[name])) is not None:
            return at
    return None


def find_latency(record: Mapping[str, Any]) -> float | None:
    """Return the latency in ms; one that is named without a unit is in seconds, as tools write it."""
    for name, unit in _LATENCIES:
        if name in record and (number := as_number(record[name])) is not None:
            return number * unit
    return None
