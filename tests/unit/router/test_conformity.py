"""Whether an answer has the form that was asked for."""

import pytest
from tests.support.messages import asked, called, said

from understudies.events import Message, Request
from understudies.router.conformity import complaint, within_reach

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
    return Request.model_validate({**asked("book").model_dump(), "tools": [BOOK], **fields})


def formatted(kind: str, schema: object = None) -> Request:
    wanted = {"type": kind, "json_schema": {"name": "answer", "schema": schema}}
    return Request.model_validate({**asked("who").model_dump(), "response_format": wanted})


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (asked("hi"), said("hello")),
        (formatted("text"), said("not JSON")),
        (formatted("json_object"), said('{"a": 1}')),
        (formatted("json_schema", PERSON), said('{"name": "Ada", "age": null, "tags": ["x"], "kind": "person"}')),
        (formatted("json_schema", PERSON), said('{"name": "Ada", "age": 36.5, "other": true}')),
        (formatted("json_schema", {"$ref": "#/$defs/x"}), said("[1]")),
        (formatted("json_schema", {"type": ["integer", "null"]}), said("3.0")),
        (formatted("json_schema"), said("3")),
        (with_tools(), called(("book", '{"seats": 2, "class": "first"}'))),
        (with_tools(), said("for when?")),
        (with_tools(tool_choice="auto"), said("for when?")),
        (with_tools(tool_choice="required"), called(("book", '{"seats": 2}'))),
        (with_tools(tool_choice={"type": "function", "function": {"name": "book"}}), called(("book", '{"seats": 2}'))),
    ],
)
def test_what_was_asked_for_is_let_through(request_: Request, answer: Message) -> None:
    assert complaint(request_, answer) is None


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (asked("hi"), said(""), "empty"),
        (asked("hi"), Message(role="user", content="hello"), "role 'user'"),
        (asked("hi"), called(("book", "{}")), "'book' was not offered"),
        (formatted("json_object"), said("Sure: {}"), "not JSON"),
        (formatted("json_object"), said("[]"), "not a JSON object"),
        (formatted("json_schema", PERSON), said("{"), "not JSON"),
        (formatted("json_schema", PERSON), said("{}"), "lacks 'name'"),
        (formatted("json_schema", PERSON), said('{"name": 3}'), "answer.name is not of type 'string'"),
        (formatted("json_schema", PERSON), said('{"name": "Ada", "age": "old"}'), "none of its alternatives"),
        (formatted("json_schema", PERSON), said('{"name": "Ada", "tags": ["x", 1]}'), r"answer.tags\[1\]"),
        (formatted("json_schema", PERSON), said('{"name": "Ada", "kind": "cat"}'), "is not 'person'"),
        (formatted("json_schema", {"type": "integer"}), said("true"), "not of type"),
        (with_tools(), called(("cancel", "{}")), "'cancel' was not offered"),
        (with_tools(), called(("book", "{}")), "lacks 'seats'"),
        (with_tools(), called(("book", "seats=2")), "not JSON"),
        (with_tools(), called(("book", "[2]")), "not a JSON object"),
        (with_tools(), called(("book", '{"seats": 2, "class": "third"}')), "none of the values"),
        (with_tools(), called(("book", '{"seats": 2, "meal": 1}')), "'meal', which is not declared"),
        (with_tools(tool_choice="none"), called(("book", '{"seats": 2}')), "none may be"),
        (with_tools(tool_choice="required"), said("for when?"), "one must be"),
        (with_tools(tool_choice={"type": "function", "function": {"name": "book"}}), said("?"), "had to be called"),
        (asked("mail?"), said("write to [EMAIL]"), r"\[EMAIL\], learned from a redacted example"),
        (with_tools(), called(("book", '{"seats": 2, "class": "[CARD]"}')), "none of the values"),
    ],
)
def test_what_was_not_asked_for_is_named(request_: Request, answer: Message, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        assert complaint(request_, answer) is None, complaint(request_, answer)


def test_a_placeholder_that_the_caller_wrote_may_come_back() -> None:
    assert complaint(asked("what is [EMAIL] for?"), said("[EMAIL] stands for an address")) is None


@pytest.mark.parametrize(
    ("parameters", "able"),
    [
        ({}, True),
        ({"max_tokens": 10, "n": 1, "modalities": ["text"], "logprobs": False}, True),
        ({"n": 2}, False),
        ({"logprobs": True}, False),
        ({"modalities": ["text", "audio"]}, False),
        ({"audio": {"voice": "alloy"}}, False),
        ({"functions": [{"name": "f"}]}, False),
        ({"web_search_options": {"search_context_size": "low"}}, False),
    ],
)
def test_what_no_student_can_give_is_the_teachers(parameters: dict[str, object], able: bool) -> None:
    request = Request.model_validate({**asked("hi").model_dump(), "parameters": parameters})
    assert within_reach(request) is able
