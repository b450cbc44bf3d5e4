"""What is written in an API is read back from it, whole or streamed and however the stream is cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialects import APIS, answers, render_response, render_stream, split_bytes

from understudies.dialects.base import Api, DecodedResponse
from understudies.dialects.registry import dialect_of


@pytest.mark.parametrize("api", APIS)
@given(answered=answers)
def test_an_answer_is_read_as_it_was_written(api: Api, answered: DecodedResponse) -> None:
    assert dialect_of(api).decode_response(render_response(api, answered)) == answered


@pytest.mark.parametrize("api", APIS)
@given(answered=answers, cuts=st.lists(st.integers(0, 5000), max_size=8), crlf=st.booleans())
def test_a_stream_cut_anywhere_makes_the_same_answer(
    api: Api, answered: DecodedResponse, cuts: list[int], crlf: bool
) -> None:
    stream = render_stream(api, answered).replace(b"\n", b"\r\n" if crlf else b"\n")
    assembler = dialect_of(api).stream_accumulator()
    shown = [assembler.feed(piece) for piece in split_bytes(stream, cuts)]
    assert b"".join([*shown, assembler.end()]) == stream
    assert shown == split_bytes(stream, cuts)
    assert (assembler.finished, assembler.failed) == (True, None)
    assert assembler.answer() == answered
    assert assembler.body() == render_response(api, answered)


@pytest.mark.parametrize("api", APIS)
@given(answered=answers, data=st.data())
def test_a_stream_that_breaks_off_makes_the_answer_so_far(
    api: Api, answered: DecodedResponse, data: st.DataObject
) -> None:
    stream = render_stream(api, answered)
    assembler = dialect_of(api).stream_accumulator()
    assembler.feed(stream[: data.draw(st.integers(0, len(stream) - 3))])
    assembler.end()
    whole = answered.response.message
    try:
        said = assembler.answer().response.message
    except ValueError:
        assert assembler.characters == 0
        return
    assert whole.text.startswith(said.text)
    assert len(said.tool_calls or ()) <= len(whole.tool_calls or ())
    for call, complete in zip(said.tool_calls or (), whole.tool_calls or (), strict=False):
        assert call.function.name == complete.function.name


@pytest.mark.parametrize("api", APIS)
@given(answered=answers)
def test_characters_are_those_of_the_text_and_of_the_tools_arguments(api: Api, answered: DecodedResponse) -> None:
    assembler = dialect_of(api).stream_accumulator()
    assembler.feed(render_stream(api, answered))
    message = answered.response.message
    given_ = sum(len(call.function.arguments) for call in message.tool_calls or ())
    assert assembler.characters == len(message.text) + given_


@given(answered=answers, cuts=st.lists(st.integers(0, 5000), max_size=8), crlf=st.booleans())
def test_a_chat_without_its_usage_is_the_stream_that_was_asked_for(
    answered: DecodedResponse, cuts: list[int], crlf: bool
) -> None:
    def ends(stream: bytes) -> bytes:
        return stream.replace(b"\n", b"\r\n" if crlf else b"\n")

    assembler = dialect_of("chat").stream_accumulator(include_usage=False)
    stream = render_stream("chat", answered).replace(b'"usage":null,', b"")
    shown = [assembler.feed(piece) for piece in split_bytes(ends(stream), cuts)]
    assert b"".join([*shown, assembler.end()]) == ends(render_stream("chat", answered, include_usage=False))
    assert assembler.answer() == answered


@pytest.mark.parametrize("api", APIS)
@given(answered=answers)
def test_an_answer_that_is_sent_back_is_the_turn_it_was(api: Api, answered: DecodedResponse) -> None:
    body = render_response(api, answered)
    asked: dict[Api, dict[str, Any]] = {
        "chat": {"messages": [choice["message"] for choice in body.get("choices", ())]},
        "responses": {"input": body.get("output")},
        "messages": {"messages": [{"role": "assistant", "content": body.get("content")}]},
    }
    request = dialect_of(api).decode_request({"model": "m", **asked[api]}).request
    assert request.messages == (answered.response.message,)
