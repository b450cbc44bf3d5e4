"""Whether an answer has the form that was asked for."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message, tool_call_message, user_request

from understudies.events import Message, Request
from understudies.students.answer_validation import is_answerable, validation_error

BOOK = {
    "type": "function",
    "function": {
        "name": "book",
        "parameters": {
            "type": "object",
            "properties": {"seats": {"type": "integer"}, "class": {"type": "string", "enum": ["first", "second"]}},
            "required": ["seats"],
            "additionalProperties": False,
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "kind": {"const": "person"},
    },
    "required": ["name"],
}


def with_tools(**fields: object) -> Request:
    return Request.model_validate({**user_request("book").model_dump(), "tools": [BOOK], **fields})


def formatted(kind: str, schema: object = None) -> Request:
    wanted = {"type": kind, "json_schema": {"name": "answer", "schema": schema}}
    return Request.model_validate({**user_request("who").model_dump(), "response_format": wanted})


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (user_request("hi"), assistant_message("hello")),
        (formatted("text"), assistant_message("not JSON")),
        (formatted("json_object"), assistant_message('{"a": 1}')),
        (
            formatted("json_schema", PERSON),
            assistant_message('{"name": "Ada", "age": null, "tags": ["x"], "kind": "person"}'),
        ),
        (formatted("json_schema", PERSON), assistant_message('{"name": "Ada", "age": 36.5, "other": true}')),
        (formatted("json_schema", {"type": ["integer", "null"]}), assistant_message("3.0")),
        (formatted("json_schema"), assistant_message("3")),
        (with_tools(), tool_call_message(("book", '{"seats": 2, "class": "first"}'))),
        (with_tools(), assistant_message("for when?")),
        (with_tools(tool_choice="auto"), assistant_message("for when?")),
        (with_tools(tool_choice="required"), tool_call_message(("book", '{"seats": 2}'))),
        (
            with_tools(tool_choice={"type": "function", "function": {"name": "book"}}),
            tool_call_message(("book", '{"seats": 2}')),
        ),
    ],
)
def test_what_was_asked_for_is_let_through(request_: Request, answer: Message) -> None:
    assert validation_error(request_, answer) is None


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (user_request("hi"), assistant_message(""), "empty"),
        (user_request("hi"), Message(role="user", content="hello"), "role 'user'"),
        (user_request("hi"), tool_call_message(("book", "{}")), "a tool was called that was not offered"),
        (formatted("json_object"), assistant_message("Sure: {}"), "not JSON"),
        (formatted("json_object"), assistant_message("[]"), "not a JSON object"),
        (formatted("json_schema", PERSON), assistant_message("{"), "not JSON"),
        (formatted("json_schema", PERSON), assistant_message("{}"), "lacks 'name'"),
        (formatted("json_schema", PERSON), assistant_message('{"name": 3}'), "the answer does not fit its schema"),
        (formatted("json_schema", PERSON), assistant_message('{"name": "Ada", "age": "old"}'), "does not fit"),
        (formatted("json_schema", PERSON), assistant_message('{"name": "Ada", "tags": ["x", 1]}'), "does not fit"),
        (formatted("json_schema", PERSON), assistant_message('{"name": "Ada", "kind": "cat"}'), "does not fit"),
        (formatted("json_schema", {"type": "integer"}), assistant_message("true"), "does not fit"),
        (formatted("json_schema", {"type": "number"}), assistant_message("NaN"), "not JSON"),
        (formatted("json_schema", {"type": "array"}), assistant_message("[" * 5000 + "]" * 5000), "not JSON"),
        (formatted("json_schema", {"$ref": "#/$defs/gone"}), assistant_message("1"), "does not fit"),
        (with_tools(), tool_call_message(("cancel", "{}")), "a tool was called that was not offered"),
        (with_tools(), tool_call_message(("book", "{}")), "the call of 'book' lacks 'seats'"),
        (with_tools(), tool_call_message(("book", '{"seats": "two"}')), "the call of 'book' does not fit"),
        (with_tools(), tool_call_message(("book", "seats=2")), "not JSON"),
        (with_tools(), tool_call_message(("book", "[2]")), "not a JSON object"),
        (with_tools(), tool_call_message(("book", '{"seats": 2, "class": "third"}')), "does not fit"),
        (with_tools(), tool_call_message(("book", '{"seats": 2, "meal": 1}')), "does not fit"),
        (with_tools(tool_choice="none"), tool_call_message(("book", '{"seats": 2}')), "none may be"),
        (with_tools(tool_choice="required"), assistant_message("for when?"), "one must be"),
        (
            with_tools(tool_choice={"type": "function", "function": {"name": "book"}}),
            assistant_message("?"),
            "had to be called",
        ),
        (
            with_tools(parameters={"parallel_tool_calls": False}),
            tool_call_message(("book", '{"seats": 2}'), ("book", '{"seats": 3}')),
            "one at a time",
        ),
        (user_request("mail?"), assistant_message("write to [EMAIL]"), r"\[EMAIL\], learned from a redacted example"),
        (with_tools(), tool_call_message(("book", '{"seats": 2, "class": "[CARD]"}')), "does not fit"),
    ],
)
def test_what_was_not_asked_for_is_named(request_: Request, answer: Message, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        assert validation_error(request_, answer) is None, validation_error(request_, answer)


def test_a_placeholder_that_the_caller_wrote_may_come_back() -> None:
    assert (
        validation_error(user_request("what is [EMAIL] for?"), assistant_message("[EMAIL] stands for an address"))
        is None
    )


def test_a_placeholder_in_an_earlier_call_may_come_back() -> None:
    before = tool_call_message(("book", '{"seats": 2, "class": "[EMAIL]"}'))
    request = Request.model_validate(
        {**user_request("again").model_dump(), "messages": [before, *user_request("again").messages]}
    )
    assert validation_error(request, assistant_message("booked for [EMAIL]")) is None


@settings(deadline=None)
@given(value=st.text(min_size=1), key=st.text(min_size=1))
def test_a_complaint_quotes_no_answer(value: str, key: str) -> None:
    """Complaints are logged; the text of an answer never is."""
    told = validation_error(with_tools(), tool_call_message((f"#{value}#", "{}"), ("book", "{")))
    arguments = json.dumps({"seats": f"#{value}#", f"#{key}#": 1})
    again = validation_error(with_tools(), tool_call_message(("book", arguments)))
    for text in (told, again):
        assert text is not None
        assert f"#{value}#" not in text
        assert f"#{key}#" not in text


@pytest.mark.parametrize(
    ("parameters", "able"),
    [
        ({}, True),
        ({"max_tokens": 10, "n": 1, "modalities": ["text"], "logprobs": False}, True),
        ({"thinking": {"type": "disabled"}, "background": False}, True),
        ({"n": 2}, False),
        ({"logprobs": True}, False),
        ({"modalities": ["text", "audio"]}, False),
        ({"audio": {"voice": "alloy"}}, False),
        ({"functions": [{"name": "f"}]}, False),
        ({"web_search_options": {"search_context_size": "low"}}, False),
        ({"previous_response_id": "resp_1"}, False),
        ({"conversation": "conv_1"}, False),
        ({"background": True}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, False),
        ({"mcp_servers": [{"type": "url", "url": "https://tools.example"}]}, False),
        ({"container": "c_1"}, False),
    ],
)
def test_what_no_student_can_give_is_the_teachers(parameters: dict[str, object], able: bool) -> None:
    request = Request.model_validate({**user_request("hi").model_dump(), "parameters": parameters})
    assert is_answerable(request) is able


@pytest.mark.parametrize(
    ("tools", "able"),
    [
        ([BOOK], True),
        ([{"type": "function", "function": {"name": "now"}}], True),
        ([BOOK, {"type": "web_search"}], False),
        ([{"type": "custom", "custom": {"name": "sql"}}], False),
        ([{"type": "function", "function": {"name": "f", "parameters": {"$ref": "https://schemas.example/f"}}}], False),
    ],
)
def test_only_tools_whose_calls_can_be_checked_are_within_reach(tools: list[dict[str, object]], able: bool) -> None:
    assert is_answerable(with_tools(tools=tools)) is able


@pytest.mark.parametrize(
    ("wanted", "able"),
    [
        ({"type": "text"}, True),
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": PERSON, "strict": True}}, True),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "people"}}}, False),
        ({"type": "grammar", "grammar": "root ::= [a-z]+"}, False),
    ],
)
def test_only_forms_that_can_be_checked_are_within_reach(wanted: dict[str, object], able: bool) -> None:
    request = Request.model_validate({**user_request("who").model_dump(), "response_format": wanted})
    assert is_answerable(request) is able
