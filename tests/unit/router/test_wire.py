"""OpenAI's shapes."""

import json
from typing import Any

import pytest
from tests.support.messages import asked, called, said
from tests.support.routing import NOON

from understudies.events import Response, Usage, request_of
from understudies.router.wire import answer_of, chunks, completion, request_body, too_deep, usage_of


@pytest.mark.parametrize(
    "response",
    [
        Response(message=said("yes"), finish_reason="stop"),
        Response(message=called(("f", "{}")), finish_reason="tool_calls"),
    ],
)
def test_a_completion_is_read_as_it_was_written(response: Response) -> None:
    usage = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=1)
    read, model, counted = answer_of(completion("1", NOON, "triage@1", response, usage))
    assert (read, model, counted) == (response, "triage@1", usage)


def test_a_request_is_read_as_it_was_written() -> None:
    request = request_of({**asked("hi").model_dump(), "seed": 3, "tools": [{"type": "function"}]})
    body = request_body(request, "gpt-4o")
    assert (request_of(body), body["model"], body["seed"]) == (request, "gpt-4o", 3)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}}]},
        {"error": {"message": "no"}},
    ],
)
def test_what_is_no_completion_is_not_read(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not a chat completion|validation error"):
        answer_of(body)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ("many", Usage()),
        ({"prompt_tokens": None, "completion_tokens": -3}, Usage()),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(prompt_tokens=5, cached_tokens=4)),
    ],
)
def test_missing_counts_are_zero(usage: Any, expected: Usage) -> None:
    assert usage_of(usage) == expected


def test_a_stream_ends_with_usage_only_where_it_was_asked_for() -> None:
    body = completion("1", NOON, "m", Response(message=said("yes")), Usage(prompt_tokens=5))
    events = [one.removeprefix(b"data: ").strip() for one in chunks(body, include_usage=True)]
    assert events[-1] == b"[DONE]"
    assert json.loads(events[-2])["usage"]["prompt_tokens"] == 5
    assert json.loads(events[0])["choices"][0]["delta"]["content"] == "yes"
    assert all(b'"usage"' not in one for one in chunks(body, include_usage=False))


def test_depth_counts_lists_and_objects() -> None:
    assert not too_deep([{"a": [1]}], limit=3)
    assert too_deep([{"a": [1]}], limit=2)
