"""Responses' requests in canonical form."""

from typing import Any

import pytest

from understudies.dialects.registry import dialect_of
from understudies.events import Request


def asked(*items: dict[str, Any], **fields: Any) -> Request:
    return (
        dialect_of("responses")
        .decode_request({"model": "m", "input": list(items) or "hi", "store": False, **fields})
        .request
    )


def test_who_speaks_is_kept() -> None:
    request = asked({"role": "developer", "content": "d"}, {"role": "user", "content": "u"}, instructions="i")
    assert [(m.role, m.content) for m in request.messages] == [("system", "i"), ("developer", "d"), ("user", "u")]


def test_calls_belong_to_what_was_said_before_them() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    said = {"type": "message", "role": "assistant", "content": "wait"}
    result = {"type": "function_call_output", "call_id": "c", "output": "done"}
    read = asked({"role": "user", "content": "hi"}, call, call, result, said, call).messages
    assert [(m.role, m.content, len(m.tool_calls or ())) for m in read] == [
        ("user", "hi", 0),
        ("assistant", None, 2),
        ("tool", "done", 0),
        ("assistant", "wait", 1),
    ]


def test_custom_tools_are_called_with_text() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"}
    result = {"type": "custom_tool_call_output", "call_id": "c", "output": "1"}
    grammar = {"type": "grammar", "syntax": "lark", "definition": "x"}
    request = asked(call, result, tools=[{"type": "custom", "name": "sql", "format": grammar}])
    (made,) = request.messages[0].tool_calls or ()
    assert (made.type, made.function.name, made.function.arguments) == ("custom", "sql", "SELECT 1")
    assert request.messages[1].tool_call_id == "c"
    assert request.tools == (
        {
            "type": "custom",
            "custom": {"name": "sql", "format": {"type": "grammar", "grammar": {"definition": "x", "syntax": "lark"}}},
        },
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "input_image", "image_url": "u", "detail": "low"},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
        ),
        (
            {"type": "input_file", "filename": "f", "file_data": "d"},
            {"type": "file", "file": {"filename": "f", "file_data": "d"}},
        ),
        ({"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
    ],
)
def test_parts_have_the_canonical_shape(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asked({"role": "user", "content": [part]}).messages[0].content == [expected]


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"type": "item_reference", "id": "i"}, "item_reference"),
        ({"id": "i"}, "item_reference"),
        ({"type": "web_search_call", "id": "w"}, "web_search_call"),
        ({"type": "compaction", "encrypted_content": "x"}, "compaction"),
    ],
)
def test_what_only_the_provider_has_stays_as_it_is_and_is_named(item: dict[str, Any], kind: str) -> None:
    request = asked(item, {"role": "user", "content": "hi"})
    assert request.messages[0].content == [item]
    assert request.parameters["provider_state"] == [kind]


def test_a_file_of_the_providers_is_named() -> None:
    request = asked({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]})
    assert request.messages[0].content == [{"type": "file", "file": {"file_id": "f"}}]
    assert request.parameters["provider_state"] == ["file_id"]


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        (None, None),
        (
            {"type": "json_schema", "name": "n", "schema": {}, "strict": None, "description": "d"},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "description": "d"}},
        ),
    ],
)
def test_the_form_of_the_answer_has_the_canonical_shape(format_: Any, expected: Any) -> None:
    assert asked(text={"format": format_}).response_format == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "custom", "name": "f"}, {"type": "custom", "custom": {"name": "f"}}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
        ({"type": "file_search"}, {"type": "file_search"}),
    ],
)
def test_the_choice_of_a_tool_has_the_canonical_shape(choice: Any, expected: Any) -> None:
    assert asked(tool_choice=choice).tool_choice == expected


def test_parameters_have_the_canonical_names() -> None:
    request = asked(
        max_output_tokens=5,
        text={"verbosity": "low"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        background=False,
        prompt_cache_key="k",
        user="u",
    )
    assert request.parameters == {"max_completion_tokens": 5, "verbosity": "low", "logprobs": True}
