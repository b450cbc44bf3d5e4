"""Answers as people read them."""

from understudies.events import FunctionCall, Message, ToolCall
from understudies.judges.answer_text import answer_text


def test_text_and_tool_calls_are_shown_and_what_is_long_is_cut() -> None:
    call = ToolCall(id="1", function=FunctionCall(name="refund", arguments='{"order": 7}'))
    assert answer_text(Message(role="assistant", content="yes")) == "yes"
    assert answer_text(Message(role="assistant", content="so:", tool_calls=(call,))) == 'so:\nrefund({"order": 7})'
    assert answer_text(Message(role="assistant", content="x" * 50), 10) == "x" * 9 + "…"
    assert answer_text(Message(role="assistant")) == ""
