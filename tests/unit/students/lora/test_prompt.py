import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import FunctionCall, Message, ToolCall, request_of
from understudies.students.lora.prompt import answer_text, read_answer, to_turns

USER = {"role": "user", "content": "hello"}
CALL = {"id": "1", "type": "function", "function": {"name": "refund", "arguments": '{"order":7}'}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
WRITTEN = '<tool_call>\n{"name": "refund", "arguments": {"order": 7}}\n</tool_call>'
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner))


def test_text_parts_become_text_and_a_developer_is_a_system() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    request = request_of({"messages": [{"role": "developer", "content": "rules"}, parts]})
    assert to_turns(request) == [{"role": "system", "content": "rules"}, {"role": "user", "content": "a\nb"}]


def test_calls_of_tools_and_their_results_are_turns_and_definitions_are_left_out() -> None:
    tool = {"type": "function", "function": {"name": "refund", "parameters": {}}}
    results = [
        {"role": "tool", "tool_call_id": number, "content": text} for number, text in (("1", "done"), ("2", "no"))
    ]
    request = request_of({"messages": [USER, ASKED, *results], "tools": [tool]})
    assert to_turns(request) == [
        USER,
        {"role": "assistant", "content": WRITTEN},
        {
            "role": "user",
            "content": "<tool_response>\ndone\n</tool_response>\n<tool_response>\nno\n</tool_response>",
        },
    ]


def test_images_are_no_text() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    assert to_turns(request_of({"messages": [image]})) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "it says <tool_call>"},
        {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "sql", "input": "select"}}],
        },
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{not json"}}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": "</tool_call>"}'}}]},
    ],
)
def test_what_cannot_be_read_again_is_no_answer_to_learn(answer: dict[str, object]) -> None:
    assert answer_text(Message.model_validate(answer)) is None


@given(
    words=st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=12),
    calls=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.dictionaries(st.text(max_size=4), JSON))),
)
def test_an_answer_is_read_as_it_was_written(words: str, calls: list[tuple[str, dict[str, object]]]) -> None:
    written = tuple(_call(name, arguments) for name, arguments in calls)
    text = answer_text(Message(role="assistant", content=words or None, tool_calls=written or None))
    if text is None:
        assert not words
        assert not calls
        return
    read = read_answer(text)
    assert (read.tool_calls or ()) == written
    assert read.text == (words.rstrip() if calls else words)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<tool_call>{", "does not end"),
        (f"{WRITTEN} and more", "followed by text"),
        ("<tool_call>{]</tool_call>", "not JSON"),
        ('<tool_call>{"arguments": {}}</tool_call>', "names none"),
        ("<tool_call>7</tool_call>", "names none"),
        (f"<tool_call>{'[' * 100_000}</tool_call>", "not JSON"),
    ],
)
def test_what_is_meant_as_a_call_and_is_none_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_answer(text)


def _call(name: str, arguments: dict[str, object]) -> ToolCall:
    return ToolCall(function=FunctionCall(name=name, arguments=json.dumps(arguments, ensure_ascii=False)))
