"""The names of an input: its fingerprint, what a student reads of it, and the turns that it contains."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from tests.support.conversations import conversation_request

from understudies.datasets.inputs import Input, identify_input
from understudies.events import Message, Request
from understudies.students.base import request_text

roles = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
messages = st.builds(lambda role, text: Message(role=role, content=text), roles, st.text(max_size=12) | st.none())
requests = st.builds(lambda said: Request(messages=tuple(said)), st.lists(messages, min_size=1, max_size=8))


def reading(request: Request) -> str | None:
    """The name of all that a student reads of a request, spelt out."""
    read = " ".join(request_text(request).lower().split())
    return f"text:{hashlib.sha256(read.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}" if read else None


@given(requests)
def test_an_input_is_named_by_what_is_read_of_it_and_of_each_turn(request: Request) -> None:
    one = identify_input(request, "f")
    said = request.messages
    turns = [Request(messages=said[:n]) for n, message in enumerate(said) if message.role == "assistant" and n > 0]
    assert one.text == reading(request)
    assert one.names == {"f", one.text} - {None}
    assert set(one.earlier) == {reading(turn) for turn in turns} - {None, one.text}


def test_the_turns_come_first_to_last() -> None:
    said = conversation_request(*"abcde", system="").messages
    one = identify_input(Request(messages=said), "f")
    expected = [reading(Request(messages=said[:n])) for n in (2, 4)]
    assert list(one.earlier) == expected


def test_turns_up_to_a_common_opening_are_cut_off() -> None:
    one = Input("f", "text", ("a", "b", "c"), brief=2)
    assert one.without_openings(frozenset({"b"})) == Input("f", "text", ("c",))
    assert one.without_openings(frozenset({"a"})) == Input("f", "text", ("b", "c"), brief=1)
    assert one.without_openings(frozenset({"c", "a"})).earlier == ()
    assert one.without_openings(frozenset({"text", "other"})) is one


def test_turns_up_to_200_characters_are_brief() -> None:
    said = ["hi", "Hello!", "x" * 188, "yes", "y", "no", "z"]
    assert identify_input(conversation_request(*said), "f").brief == 2
    assert identify_input(conversation_request("hi", "Hello!", "x" * 192, *said[3:]), "f").brief == 1
    assert identify_input(conversation_request("hi"), "f").brief == 0
