"""What OpenAI's API stores: completions, responses, the two files of a batch, and preferences to fine-tune by."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.importers.draft import Draft
from understudies.backtest.importers.fields import first, mapping, text
from understudies.backtest.importers.native import described
from understudies.backtest.importers.parsing import NotACall


def is_stored(record: Mapping[str, Any]) -> bool:
    """Whether the record is a stored completion or response."""
    return record.get("object") in ("chat.completion", "text_completion", "response")


def stored(record: Mapping[str, Any]) -> Draft:
    """A stored completion with its messages, or a stored response with its input."""
    draft = described(record)
    draft.messages = first(
        record.get("messages"),
        record.get("input"),
        record.get("prompt"),
        mapping(record.get("request")).get("messages"),
    )
    if draft.messages is None:
        raise NotACall("a stored completion without its messages")
    draft.answer = {key: record[key] for key in ("choices", "output") if key in record}
    return draft


def is_preference(record: Mapping[str, Any]) -> bool:
    """Whether the record is a line of a file to fine-tune by preference."""
    return "preferred_output" in record and "messages" in mapping(record.get("input"))


def preference(record: Mapping[str, Any]) -> Draft:
    """An input with the output that was preferred, which is taken for the teacher's."""
    asked = mapping(record["input"])
    draft = described({**asked, **record})
    draft.request = asked
    draft.messages = asked["messages"]
    draft.answer = record["preferred_output"]
    if not draft.answer:
        raise NotACall("no teacher answer")
    return draft


def is_batch(record: Mapping[str, Any]) -> bool:
    """Whether the record is a line of a batch's input or output."""
    return "custom_id" in record and ("body" in record or "response" in record)


def is_batch_input(record: Mapping[str, Any]) -> bool:
    """Whether the record is a line of a batch's input alone."""
    return isinstance(record.get("body"), dict) and not record.get("response")


def batch(record: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]) -> Draft:
    """A line of a batch's output, joined with its input by `custom_id`."""
    body = mapping(mapping(record.get("response")).get("body"))
    asked = first(record.get("body"), inputs.get(str(record.get("custom_id"))))
    if not isinstance(asked, dict):
        raise NotACall("a batch answer without its request: join the batch's input file")
    if not body:
        raise NotACall("no teacher answer")
    draft = described({**record, **body})
    draft.request = asked
    draft.messages = first(asked.get("messages"), asked.get("input"), asked.get("prompt"))
    draft.answer = body
    draft.model = draft.model or text(asked.get("model")) or ""
    return draft
