"""Answers that say the same have one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.messages import called, said

from understudies.events import Message
from understudies.judges import JsonJudge, LabelJudge, judge_named
from understudies.students import answer_key
from understudies.students.answer_key import class_key, without_ids

TEXTS = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said("Refund."), said("refund")),
        (said('{"a": 1, "b": 2}'), said('{"b":2,"a":1}')),
        (called(("f", '{"a": 1, "b": 2}')), called(("f", '{"b":2,"a":1}'))),
        (called(("f", "")), called(("f", "{}"))),
    ],
    ids=["label", "json", "tools", "no arguments"],
)
def test_answers_that_say_the_same_have_one_key(one: Message, other: Message) -> None:
    assert answer_key(one) == answer_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said("refund"), said("card arrival")),
        (said('{"a": 1}'), said('{"a": 2}')),
        (called(("f", '{"a": 1}')), called(("g", '{"a": 1}'))),
        (called(("f", "{}")), called(("f", "{}"), ("f", "{}"))),
        (called(("f", "{}")), said("f")),
        (said('{"a": 1'), said('{"a": 1}')),
    ],
    ids=["label", "json", "tools", "twice", "a call and its name", "broken json"],
)
def test_answers_that_say_something_else_have_another(one: Message, other: Message) -> None:
    assert answer_key(one) != answer_key(other)


def test_the_key_of_a_label_can_be_read() -> None:
    assert answer_key(said("Card Arrival.")) == "label:card arrival"


def test_the_key_of_a_long_answer_is_short() -> None:
    long, other = said("word " * 1000), said("word " * 1001)
    assert len(answer_key(long)) < 80
    assert answer_key(long).startswith("sha256:")
    assert answer_key(long) != answer_key(other)


@given(TEXTS)
def test_every_text_has_a_key_and_always_the_same(text: str) -> None:
    assert answer_key(said(text)) == answer_key(said(text))
    assert len(answer_key(said(text))) <= 120


@given(TEXTS)
def test_whatever_the_arguments_of_a_tool_are_there_is_a_key(arguments: str) -> None:
    assert answer_key(called(("f", arguments))).startswith(("tools:", "sha256:"))


def test_a_class_is_what_the_judge_takes_for_one() -> None:
    explained = judge_named("label[before:dash]")
    assert isinstance(explained, LabelJudge)
    one, other = said("refund - the order was late"), said("refund - as asked")
    assert class_key(one, explained) == class_key(other, explained)
    assert class_key(one) != class_key(other)


def test_fields_that_the_judge_does_not_order_make_no_class() -> None:
    judge = judge_named("json[tags]")
    assert isinstance(judge, JsonJudge)
    one, other = said('{"tags": ["a", "b"]}'), said('{"tags": ["b", "a"]}')
    assert judge.judge(one, other).agreed
    assert class_key(one, judge) == class_key(other, judge)
    assert class_key(one) != class_key(other)


def test_ids_of_tool_calls_are_counted_through() -> None:
    message = without_ids(called(("f", "{}"), ("g", "{}")))
    assert [call.id for call in message.tool_calls or ()] == ["call_0", "call_1"]
    assert without_ids(said("text")) == said("text")
