"""What examples have in common is in memory once, and nothing that differs is taken for the same."""

from datetime import UTC, datetime
from typing import Any

import pytest

from understudies.datasets.dataset import Example
from understudies.datasets.shared_parts import SharedParts
from understudies.datasets.teacher_lineage import terms_of
from understudies.events import Message, Request

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "call-1", "function": {"name": "find", "arguments": "{}"}}


def example(**fields: Any) -> Example:
    request = {
        "messages": [
            {"role": "system", "content": "Name the intent."},
            {"role": "user", "content": "a refund, please"},
        ],
        "tools": [TOOL],
        "response_format": {"type": "json_object"},
    }
    given = {
        "id": "one",
        "at": datetime(2026, 1, 5, tzinfo=UTC),
        "fingerprint": "f" * 64,
        "split": "train",
        "teacher": "gpt-4o-mini",
        "request": request,
        "answer": {"role": "assistant", "content": "refund"},
        "repeats": [{"role": "assistant", "content": "refund"}],
        "terms": terms_of("gpt-4o-mini"),
    }
    return Example.model_validate_json(Example.model_validate({**given, **fields}).model_dump_json())


def test_equal_parts_are_one_object_and_examples_stay_equal() -> None:
    parts = SharedParts()
    read = [example(), example(id="two")]
    first, second = (one.with_parts_of(parts) for one in read)
    assert [first, second] == read
    assert [first.model_dump_json(exclude_none=True), second.model_dump_json(exclude_none=True)] == [
        one.model_dump_json(exclude_none=True) for one in read
    ]
    assert first.request.messages[0] is second.request.messages[0]
    assert first.request.tools is second.request.tools
    assert first.request.response_format is second.request.response_format
    assert first.answer is second.answer is first.repeats[0]
    assert first.terms is second.terms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"role": "assistant", "content": "refund"}, {"role": "assistant", "content": "refund "}),
        ({"role": "assistant", "content": ""}, {"role": "assistant", "content": None, "name": ""}),
        ({"role": "assistant", "content": "refund"}, {"role": "developer", "content": "refund"}),
        (
            {"role": "assistant", "content": "a", "name": "b"},
            {"role": "assistant", "content": "a", "tool_call_id": "b"},
        ),
        ({"role": "assistant", "tool_calls": [CALL]}, {"role": "assistant", "tool_calls": [{**CALL, "id": "call-2"}]}),
        ({"role": "system", "content": [{"type": "text", "text": "a"}]}, {"role": "system", "content": "a"}),
        ({"role": "system", "content": [{"n": 1}]}, {"role": "system", "content": [{"n": True}]}),
        ({"role": "system", "content": [{"n": 1}]}, {"role": "system", "content": [{"n": 1.0}]}),
    ],
)
def test_what_differs_stays_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    parts = SharedParts()
    read = [Message.model_validate(one), Message.model_validate(other)]
    told = [message.model_dump_json() for message in read]
    assert told[0] != told[1]
    assert [message.model_dump_json() for message in parts.messages(read)] == told


def test_values_that_python_takes_for_equal_stay_apart_in_tools() -> None:
    parts = SharedParts()
    read = [
        Request.model_validate({"messages": [{"role": "user", "content": "a"}], "tools": [{"n": n}]}) for n in (1, True)
    ]
    assert [parts.request(one).model_dump_json() for one in read] == [one.model_dump_json() for one in read]
    assert read[0].model_dump_json() != read[1].model_dump_json()


def test_messages_of_users_are_not_kept() -> None:
    parts = SharedParts()
    message = Message(role="user", content="a refund, please")
    assert parts.message(message) is message
    again = Message(role="user", content="a refund, please")
    assert parts.message(again) is again
