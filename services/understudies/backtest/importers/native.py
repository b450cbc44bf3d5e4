"""Read chat transcripts, whose last message is the teacher's answer, and legacy pairs of prompt and completion."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.fields import (
    as_flag,
    as_mapping,
    as_number,
    as_text,
    find_cost,
    find_id,
    find_task,
    find_usage,
    first_not_none,
    parse_tags,
    parse_time,
)
from understudies.backtest.importers.partial_call import PartialCall


def is_native(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a transcript, as in fine-tuning files."""
    return "messages" in record


def read_native(record: Mapping[str, Any]) -> PartialCall:
    """Read a transcript; a `response`, `completion` or `answer` beside the messages is the answer if there is one."""
    draft = read_common_fields(record)
    draft.messages = record["messages"]
    draft.answer = first_not_none(record.get("response"), record.get("completion"), record.get("answer"))
    draft.tool_calls = record.get("tool_calls")
    return draft


def is_pair(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a prompt with its completion."""
    return "prompt" in record and "completion" in record


def read_pair(record: Mapping[str, Any]) -> PartialCall:
    """Read a prompt and its completion, each of which is text or a list of messages."""
    draft = read_common_fields(record)
    draft.messages = record["prompt"]
    completion = record["completion"]
    draft.answer = completion.strip() if isinstance(completion, str) else completion
    return draft


def read_common_fields(record: Mapping[str, Any]) -> PartialCall:
    """Read all fields of a record under their native names, except the messages."""
    usage = as_mapping(record.get("usage"))
    metadata = as_mapping(record.get("metadata"))
    tags = parse_tags(first_not_none(record.get("tags"), record.get("metadata")))
    return PartialCall(
        messages=None,
        request=record,
        model=as_text(record.get("model")) or "",
        usage=find_usage(usage, record),
        cost=find_cost(usage, record),
        at=parse_time(first_not_none(record.get("created"), record.get("created_at"), record.get("timestamp"))),
        task=find_task(record, metadata, tags),
        tags=tags,
        latency_ms=as_number(record.get("latency_ms")),
        critical=as_flag(record.get("critical")) or as_flag(metadata.get("critical")),
        episode=find_id(("episode",), record, metadata),
    )
