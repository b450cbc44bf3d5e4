"""Chat transcripts: messages of which the last is the teacher's answer, and legacy pairs of prompt and completion."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.draft import Draft
from understudies.backtest.importers.fields import (
    cost_in,
    first,
    flag,
    id_in,
    mapping,
    moment_of,
    number,
    tags_of,
    task_in,
    text,
    usage_of,
)


def is_native(record: Mapping[str, Any]) -> bool:
    """Whether the record is a transcript, as fine-tuning files hold too."""
    return "messages" in record


def native(record: Mapping[str, Any]) -> Draft:
    """A transcript; `response`, `completion` or `answer` beside the messages are the answer where they are given."""
    draft = described(record)
    draft.messages = record["messages"]
    draft.answer = first(record.get("response"), record.get("completion"), record.get("answer"))
    draft.tool_calls = record.get("tool_calls")
    return draft


def is_pair(record: Mapping[str, Any]) -> bool:
    """Whether the record is a prompt with its completion."""
    return "prompt" in record and "completion" in record


def pair(record: Mapping[str, Any]) -> Draft:
    """A prompt and its completion, each text or a list of messages."""
    draft = described(record)
    draft.messages = record["prompt"]
    completion = record["completion"]
    draft.answer = completion.strip() if isinstance(completion, str) else completion
    return draft


def described(record: Mapping[str, Any]) -> Draft:
    """All that a record says of its call but the messages, under the native names."""
    usage = mapping(record.get("usage"))
    metadata = mapping(record.get("metadata"))
    tags = tags_of(first(record.get("tags"), record.get("metadata")))
    return Draft(
        messages=None,
        request=record,
        model=text(record.get("model")) or "",
        usage=usage_of(usage, record),
        cost=cost_in(usage, record),
        at=moment_of(first(record.get("created"), record.get("created_at"), record.get("timestamp"))),
        task=task_in(record, metadata, tags),
        tags=tags,
        latency_ms=number(record.get("latency_ms")),
        critical=flag(record.get("critical")) or flag(metadata.get("critical")),
        episode=id_in(("episode",), record, metadata),
    )
