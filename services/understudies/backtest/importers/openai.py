"""Read OpenAI's stored completions and responses, the two files of a batch, and fine-tuning preferences."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.fields import as_mapping, as_text, first_not_none
from understudies.backtest.importers.json_parsing import NotARecordedCall
from understudies.backtest.importers.native import read_common_fields
from understudies.backtest.importers.partial_call import PartialCall


def is_stored(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a stored completion or response."""
    return record.get("object") in ("chat.completion", "text_completion", "response")


def read_stored(record: Mapping[str, Any]) -> PartialCall:
    """Read a stored completion with its messages, or a stored response with its input."""
    draft = read_common_fields(record)
    draft.messages = first_not_none(
        record.get("messages"),
        record.get("input"),
        record.get("prompt"),
        as_mapping(record.get("request")).get("messages"),
    )
    if draft.messages is None:
        raise NotARecordedCall("a stored completion without its messages")
    draft.answer = {key: record[key] for key in ("choices", "output") if key in record}
    return draft


def is_preference(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a line of a file for preference fine-tuning."""
    return "preferred_output" in record and "messages" in as_mapping(record.get("input"))


def read_preference(record: Mapping[str, Any]) -> PartialCall:
    """Read an input with the preferred output, which is taken as the teacher's answer."""
    asked = as_mapping(record["input"])
    draft = read_common_fields({**asked, **record})
    draft.request = asked
    draft.messages = asked["messages"]
    draft.answer = record["preferred_output"]
    if not draft.answer:
        raise NotARecordedCall("no teacher answer")
    return draft


def is_batch(record: Mapping[str, Any]) -> bool:
    """Return whether the record is a line of a batch's input or output."""
    return "custom_id" in record and ("body" in record or "response" in record)


def is_batch_input(record: Mapping[str, Any]) -> bool:
    """Return whether a batch's record is a line of its input."""
    return isinstance(record.get("body"), dict) and not record.get("response")


def read_batch(record: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]) -> PartialCall:
    """Read a line of a batch's output, joined with its input by `custom_id`."""
    body = as_mapping(as_mapping(record.get("response")).get("body"))
    asked = first_not_none(record.get("body"), inputs.get(str(record.get("custom_id"))))
    if not isinstance(asked, dict):
        raise NotARecordedCall("a batch answer without its request: join the batch's input file")
    if not body:
        raise NotARecordedCall("no teacher answer")
    draft = read_common_fields({**record, **body})
    draft.request = asked
    draft.messages = first_not_none(asked.get("messages"), asked.get("input"), asked.get("prompt"))
    draft.answer = body
    draft.model = draft.model or as_text(asked.get("model")) or ""
    return draft
