"""Answers that say the same have one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message, tool_call_message

from understudies.events import Message
from understudies.judges.answer_key import answer_key, canonical_answer, normalize_call_ids
from understudies.judges.json_text import parse_json
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge
from understudies.judges.registry import parse_judge

TEXTS = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (assistant_message("Refund."), assistant_message("refund")),
        (assistant_message('{"a": 1, "b": 2}'), assistant_message('{"b":2,"a":1}')),
        (tool_call_message(("f", '{"a": 1, "b": 2}')), tool_call_message(("f", '{"b":2,"a":1}'))),
        (tool_call_message(("f", "")), tool_call_message(("f", "{}"))),
    ],
    ids=["label", "json", "tools", "no arguments"],
)
def test_answers_that_say_the_same_have_one_key(one: Message, other: Message) -> None:
    assert answer_key(one) == answer_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (assistant_message("refund"), assistant_message("card arrival")),
        (assistant_message('{"a": 1}'), assistant_message('{"a": 2}')),
        (tool_call_message(("f", '{"a": 1}')), tool_call_message(("g", '{"a": 1}'))),
        (tool_call_message(("f", "{}")), tool_call_message(("f", "{}"), ("f", "{}"))),
        (tool_call_message(("f", "{}")), assistant_message("f")),
        (assistant_message('{"a": 1'), assistant_message('{"a": 1}')),
    ],
    ids=["label", "json", "tools", "twice", "a call and its name", "broken json"],
)
def test_answers_that_say_something_else_have_another(one: Message, other: Message) -> None:
    assert answer_key(one) != answer_key(other)


def test_the_key_of_a_label_can_be_read() -> None:
    assert answer_key(assistant_message("Card Arrival.")) == "label:card arrival"


def test_the_key_of_a_long_answer_is_short() -> None:
    long, other = assistant_message("word " * 1000), assistant_message("word " * 1001)
    assert len(answer_key(long)) < 80
    assert answer_key(long).startswith("sha256:")
    assert answer_key(long) != answer_key(other)


@given(TEXTS)
def test_every_text_has_a_key_and_always_the_same(text: str) -> None:
    assert answer_key(assistant_message(text)) == answer_key(assistant_message(text))
    assert len(answer_key(assistant_message(text))) <= 120


FRAMES = st.sampled_from(["{}", " {}", "\u2003{}\n", "```json\n{}\n```", "```{}```", "\ufeff{}", "so: {}", "{} end"])
VALUES = st.sampled_from(['{"a": 1}', "[1, 2]", '"{}"', "7", "null", "refund", "", "{", "]", "`"])


@given(FRAMES, VALUES)
def test_what_is_no_object_or_array_by_its_beginning_parses_as_none(frame: str, value: str) -> None:
    text = frame.replace("{}", value)
    try:
        is_structured = isinstance(parse_json(text), dict | list)
    except ValueError:
        is_structured = False
    assert answer_key(assistant_message(text)).startswith("json:" if is_structured else "label:")


@given(TEXTS)
def test_whatever_the_arguments_of_a_tool_are_there_is_a_key(arguments: str) -> None:
    assert answer_key(tool_call_message(("f", arguments))).startswith(("tools:", "sha256:"))


def test_a_class_is_what_the_judge_takes_for_one() -> None:
    explained = parse_judge("label[before:dash]")
    assert isinstance(explained, LabelJudge)
    one, other = assistant_message("refund - the order was late"), assistant_message("refund - as asked")
    assert canonical_answer(one, explained) == canonical_answer(other, explained)
    assert canonical_answer(one) != canonical_answer(other)


def test_fields_that_the_judge_does_not_order_make_no_class() -> None:
    judge = parse_judge("json[tags]")
    assert isinstance(judge, JsonJudge)
    one, other = assistant_message('{"tags": ["a", "b"]}'), assistant_message('{"tags": ["b", "a"]}')
    assert judge.judge(one, other).agreed
    assert canonical_answer(one, judge) == canonical_answer(other, judge)
    assert canonical_answer(one) != canonical_answer(other)


def test_ids_of_tool_calls_are_counted_through() -> None:
    message = normalize_call_ids(tool_call_message(("f", "{}"), ("g", "{}")))
    assert [call.id for call in message.tool_calls or ()] == ["call_0", "call_1"]
    assert normalize_call_ids(assistant_message("text")) == assistant_message("text")
