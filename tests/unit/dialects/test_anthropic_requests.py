"""Anthropic's requests in canonical form."""

from typing import Any

import pytest

from understudies.dialects.registry import dialect_of
from understudies.events import Message

ASKED: dict[str, Any] = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def parameters(**fields: Any) -> dict[str, Any]:
    return dict(dialect_of("messages").decode_request({**ASKED, **fields}).request.parameters)


def messages(*given: dict[str, Any]) -> tuple[Message, ...]:
    return dialect_of("messages").decode_request({**ASKED, "messages": list(given)}).request.messages


def parts(*blocks: Any) -> Any:
    return messages({"role": "user", "content": list(blocks)})[0].content


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"type": "base64", "media_type": "image/png", "data": "aGk="}, "data:image/png;base64,aGk="),
        ({"type": "url", "url": "https://a.example/x.png"}, "https://a.example/x.png"),
    ],
)
def test_pictures_are_kept(source: dict[str, Any], url: str) -> None:
    block = {"type": "image", "source": source, "cache_control": {"type": "ephemeral"}}
    assert parts(block) == [{"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "t"}},
        ),
        ({"type": "url", "url": "u"}, {"type": "file", "file": {"file_url": "u", "filename": "t"}}),
    ],
)
def test_documents_are_files(source: dict[str, Any], part: dict[str, Any]) -> None:
    assert parts({"type": "document", "title": "t", "source": source}) == [part]


def test_a_document_of_plain_text_is_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    assert parts({"type": "document", "title": "t", "context": "c", "source": source}) == "t\nc\nwords"


def test_what_only_the_provider_has_stays_as_it_is_and_is_named() -> None:
    block = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    content = [block, {"type": "text", "text": "and"}, found]
    request = (
        dialect_of("messages").decode_request({**ASKED, "messages": [{"role": "user", "content": content}]}).request
    )
    assert request.messages[0].content == content
    assert request.parameters["provider_state"] == ["document", "web_search_tool_result"]


def test_results_of_tools_stand_where_they_came() -> None:
    read = messages(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "before"},
                {"type": "tool_result", "tool_use_id": "c1"},
                {"type": "text", "text": "after"},
            ],
        }
    )
    assert [(message.role, message.text) for message in read] == [("user", "before"), ("tool", ""), ("user", "after")]


def test_a_turn_of_thought_alone_is_a_turn() -> None:
    thought = {"type": "redacted_thinking", "data": "x"}
    assert messages({"role": "assistant", "content": [thought]}) == (Message(role="assistant"),)


def test_a_system_message_in_the_middle_is_one() -> None:
    read = messages({"role": "user", "content": "hi"}, {"role": "system", "content": [{"type": "text", "text": "now"}]})
    assert [(message.role, message.content) for message in read] == [("user", "hi"), ("system", "now")]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        (None, None),
    ],
)
def test_the_choice_of_a_tool_has_the_canonical_names(choice: Any, expected: Any) -> None:
    assert dialect_of("messages").decode_request({**ASKED, "tool_choice": choice}).request.tool_choice == expected


def test_the_providers_own_tools_stay_as_they_are() -> None:
    own = {"type": "web_search_20260318", "name": "web_search"}
    mine = {"type": "custom", "name": "f", "input_schema": {"type": "object"}, "strict": True}
    request = dialect_of("messages").decode_request({**ASKED, "tools": [own, mine]}).request
    function = {"name": "f", "parameters": {"type": "object"}, "strict": True}
    assert request.tools == (own, {"type": "function", "function": function})


def test_parameters_have_the_canonical_names() -> None:
    assert parameters(stop_sequences=["."], top_k=3, output_config={"effort": "high"}, metadata={"user_id": "u"}) == {
        "max_tokens": 9,
        "stop": ["."],
        "top_k": 3,
        "reasoning_effort": "high",
    }
    assert parameters(thinking={"type": "disabled"}) == {"max_tokens": 9}
    assert parameters(thinking={"type": "adaptive"})["thinking"] == {"type": "adaptive"}


def test_the_older_place_of_an_output_format_counts_too() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    request = dialect_of("messages").decode_request({**ASKED, "output_format": wanted}).request
    assert request.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }
    assert "output_format" not in request.parameters
