"""Streams of chat completions as providers send them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.dialects import accumulate_stream, encode_sse, split_bytes
from tests.support.provider_events import FILTER_CHUNK, HEAD, TOOL_CALL_CHUNKS, USAGE, USAGE_CHUNK, make_chunk

from understudies.dialects.openai_chat.stream import ChatAccumulator
from understudies.dialects.registry import dialect_of
from understudies.events import Usage


def test_calls_of_tools_are_joined_by_their_index() -> None:
    answered = accumulate_stream("chat", encode_sse(*TOOL_CALL_CHUNKS, USAGE_CHUNK, "[DONE]")).answer()
    calls = answered.response.message.tool_calls or ()
    made = [(call.id, call.function.name, call.function.arguments) for call in calls]
    assert made == [("c1", "f", '{"a":1}'), ("c2", "g", "{}")]
    assert (answered.response.message.content, answered.response.finish_reason) == (None, "tool_calls")
    assert (answered.model, answered.usage) == ("m", Usage(prompt_tokens=5, completion_tokens=9))


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    def call(**fields: Any) -> dict[str, Any]:
        return make_chunk({"tool_calls": [fields]})

    stream = encode_sse(
        call(id="c1", function={"name": "f", "arguments": "{"}),
        call(function={"arguments": "}"}),
        call(id="c2", function={"name": "g", "arguments": "{}"}),
        call(id="c3", type="custom", custom={"name": "h", "input": "x"}),
    )
    calls = accumulate_stream("chat", stream).answer().response.message.tool_calls or ()
    made = [(call.type, call.function.name, call.function.arguments) for call in calls]
    assert made == [("function", "f", "{}"), ("function", "g", "{}"), ("custom", "h", "x")]


Pieces = list[tuple[str | None, str | None, Any]]
"""Id, name and arguments of each piece of a call."""


@pytest.mark.parametrize("index", [{"index": 0}, {}, {"index": None}])
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([("c1", "f", '{"a":1}'), ("c2", "g", "{}")], [("c1", "f", '{"a":1}'), ("c2", "g", "{}")]),
        ([("c1", "f", ""), ("c2", "f", "")], [("c1", "f", ""), ("c2", "f", "")]),
        (
            [("c1", "f", ""), (None, None, "{"), (None, None, "}"), ("c2", "g", "{}")],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
        ),
        (
            [("c1", "f", "{"), ("c2", "g", "{"), ("c1", None, "}"), ("c2", None, "}")],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
        ),
        ([(None, "f", "{}"), (None, "f", "{}")], [("", "f", "{}"), ("", "f", "{}")]),
        ([("", "f", "{}"), ("", "g", '{"b"'), ("", None, ":2}")], [("", "f", "{}"), ("", "g", '{"b":2}')]),
        # Pieces of one call that repeat its head, or give each piece a new id.
        ([("c1", "f", "{"), ("c1", "f", "}")], [("c1", "f", "{}")]),
        ([("c1", "f", "{}"), ("c1", "f", "")], [("c1", "f", "{}")]),
        ([("c1", "get_", ""), ("c1", "time", "{}")], [("c1", "get_time", "{}")]),
        ([("c1", "f", '{"a"'), ("c9", None, ":1}")], [("c9", "f", '{"a":1}')]),
        ([("c1", "f", {"a": 1}), ("c2", "g", None)], [("c1", "f", '{"a":1}'), ("c2", "g", "")]),
        ([("c1", "f", ""), (None, "f", '{"a"'), ("", "f", ":1}")], [("c1", "f", '{"a":1}')]),
        ([("c1", "f", '{"a"'), ("c2", "f", ":1}")], [("c2", "f", '{"a":1}')]),
    ],
)
def test_calls_at_one_index_are_told_apart(index: dict[str, Any], pieces: Pieces, expected: list[Any]) -> None:
    chunks = [
        make_chunk({"tool_calls": [{**index, "id": call, "function": {"name": name, "arguments": given}}]})
        for call, name, given in pieces
    ]
    calls = accumulate_stream("chat", encode_sse(*chunks)).answer().response.message.tool_calls or ()
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == expected


def test_calls_of_one_delta_without_an_index_are_told_apart() -> None:
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}} for n in range(3)]
    answered = accumulate_stream("chat", encode_sse(make_chunk({"tool_calls": calls}))).answer()
    assert [call.id for call in answered.response.message.tool_calls or ()] == ["c0", "c1", "c2"]


def test_all_choices_and_what_providers_add_are_in_the_body() -> None:
    second = {"index": 1, "delta": {"content": "b"}, "finish_reason": "stop", "logprobs": {"content": [{"token": "b"}]}}
    stream = encode_sse(
        FILTER_CHUNK,
        make_chunk({"content": "a", "reasoning_content": "be"}),
        make_chunk({"reasoning_content": "cause", "function_call": {"name": "f", "arguments": "{"}}),
        make_chunk({"function_call": {"arguments": "}"}, "annotations": [1]}, "stop"),
        {**HEAD, "choices": [second]},
        {**HEAD, "choices": [second]},
    )
    body = accumulate_stream("chat", stream).body()
    assert (body["object"], body["model"], body["system_fingerprint"]) == ("chat.completion", "m", "fp")
    assert [choice["message"] for choice in body["choices"]] == [
        {
            "role": "assistant",
            "content": "a",
            "refusal": None,
            "reasoning_content": "because",
            "function_call": {"name": "f", "arguments": "{}"},
            "annotations": [1],
        },
        {"role": "assistant", "content": "bb", "refusal": None},
    ]
    assert body["choices"][1]["logprobs"] == {"content": [{"token": "b"}, {"token": "b"}]}


@pytest.mark.parametrize(
    ("stream", "finished"),
    [
        (encode_sse(make_chunk({"content": "a"}), make_chunk({}, "stop"), "[DONE]"), True),
        (encode_sse(make_chunk({"content": "a"}), make_chunk({}, "stop"), "[DONE]").rstrip(), True),
        (encode_sse(make_chunk({"content": "a"}), "[DONE]"), True),
        (encode_sse(make_chunk({"content": "a"}), make_chunk({}, "stop")), True),
        (encode_sse(make_chunk({"content": "a"})), False),
        (b"", False),
    ],
)
def test_when_a_chat_is_finished(stream: bytes, finished: bool) -> None:
    assert accumulate_stream("chat", stream).finished is finished


@example(cuts=[2025], end=b"\r\n", last=b"")
@given(
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    end=st.sampled_from((b"\n", b"\r\n")),
    last=st.sampled_from((b"", b"data: [DONE]", b"data: [DONE]\n\n", encode_sse(USAGE_CHUNK).rstrip())),
)
def test_only_the_usage_that_was_not_asked_for_is_left_out(cuts: list[int], end: bytes, last: bytes) -> None:
    kept = [
        b": alive\n\n",
        encode_sse(FILTER_CHUNK, *TOOL_CALL_CHUNKS, make_chunk({"content": '"choices":[]'}, usage=USAGE)),
        last,
    ]
    if b'"usage"' in last:
        kept.pop()
    stream = b"".join([*kept[:2], encode_sse(USAGE_CHUNK), last]).replace(b"\n", end)
    assembler = dialect_of("chat").stream_accumulator(include_usage=False)
    shown = b"".join([*map(assembler.feed, split_bytes(stream, cuts)), assembler.end()])
    assert shown == b"".join(kept).replace(b"\n", end)
    assert assembler.answer().usage == Usage(prompt_tokens=5, completion_tokens=9)


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({**HEAD, "choices": [], "usage": USAGE}, False),
        ({**HEAD, "usage": USAGE}, False),
        ({**HEAD, "choices": [], "usage": None}, True),
        ({"error": {"message": "no"}, "usage": USAGE}, True),
        (make_chunk({}, "stop", usage=USAGE), True),
    ],
)
def test_what_has_nothing_but_usage(event: dict[str, Any], shown: bool) -> None:
    assembler = dialect_of("chat").stream_accumulator(include_usage=False)
    assert assembler.feed(encode_sse(event)) == (encode_sse(event) if shown else b"")


def test_an_unfinished_event_goes_on_as_soon_as_it_cannot_be_the_usage() -> None:
    event = encode_sse(make_chunk({"content": "abc"}))
    assembler = dialect_of("chat").stream_accumulator(include_usage=False)
    edge = event.index(b"[{") + 2
    assert assembler.feed(event[: edge - 1]) == b""
    assert assembler.feed(event[edge - 1 : edge + 5]) == event[: edge + 5]
    assert assembler.feed(event[edge + 5 :]) == event[edge + 5 :]


def test_an_event_too_long_to_be_the_usage_goes_on() -> None:
    assembler = dialect_of("chat").stream_accumulator(include_usage=False)
    assert assembler.feed(b"data: " + b"x" * 16_000) == b""
    assert len(assembler.feed(b"x" * 1000)) == 17_006


def test_the_usage_that_groq_tells_apart_is_counted() -> None:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    groq = {"id": "req", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
    accumulator = ChatAccumulator()
    accumulator.add_chunk(
        {"model": "m", "choices": [{"index": 0, "delta": {"content": "yes"}}], "x_groq": {"id": "req"}}
    )
    accumulator.add_chunk({**last, "x_groq": groq})
    decoded = accumulator.answer()
    assert (decoded.usage.prompt_tokens, decoded.usage.completion_tokens) == (10, 5)
    accumulator.add_chunk({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 6}})
    assert accumulator.answer().usage.prompt_tokens == 11


def test_custom_tools_at_one_index_are_told_apart_by_their_ids() -> None:
    chunks = [
        make_chunk({"tool_calls": [{"index": 0, **piece}]})
        for piece in (
            {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select "}},
            {"custom": {"input": "1"}},
            {"id": "c2", "custom": {"name": "sql", "input": "select 2"}},
        )
    ]
    calls = accumulate_stream("chat", encode_sse(*chunks)).answer().response.message.tool_calls or ()
    made = [(call.type, call.id, call.function.name, call.function.arguments) for call in calls]
    assert made == [("custom", "c1", "sql", "select 1"), ("custom", "c2", "sql", "select 2")]


def test_a_name_of_a_function_that_is_repeated_is_not_doubled() -> None:
    stream = encode_sse(
        make_chunk({"function_call": {"name": "f", "arguments": "{"}}),
        make_chunk({"function_call": {"name": "f", "arguments": "}"}}, "function_call"),
    )
    (call,) = accumulate_stream("chat", stream).answer().response.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("f", "{}")


def test_content_that_is_streamed_in_lists_is_joined() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}

    def said(text: str) -> dict[str, Any]:
        return make_chunk({"content": [{"type": "text", "text": text}]})

    plain = accumulate_stream("chat", encode_sse(said("he"), said("llo"), make_chunk({}, "stop")))
    assert (plain.answer().response.message.content, plain.characters) == ("hello", 5)
    mixed = encode_sse(make_chunk({"content": [thinking]}), make_chunk({"content": "hel"}), said("lo"))
    assert accumulate_stream("chat", mixed).answer().response.message.content == [
        thinking,
        {"type": "text", "text": "hello"},
    ]


def test_a_whole_message_in_place_of_deltas_is_read_and_after_them_is_not() -> None:
    whole = {**HEAD, "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}
    for chunks in ((whole,), (make_chunk({"content": "hello"}), whole)):
        answered = accumulate_stream("chat", encode_sse(*chunks)).answer()
        assert (answered.response.message.content, answered.response.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize(
    "last",
    [
        {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        make_chunk({}, "stop", x_groq={"id": "q", "usage": USAGE}),
    ],
)
def test_usage_in_a_place_of_its_own_counts_unless_it_is_where_it_belongs(last: dict[str, Any]) -> None:
    first = make_chunk({"content": "a"})
    assert accumulate_stream("chat", encode_sse(first, last)).answer().usage.prompt_tokens == 5
    usual = {**USAGE_CHUNK, "usage": {"prompt_tokens": 7}}
    assert accumulate_stream("chat", encode_sse(first, last, usual)).answer().usage.prompt_tokens == 7


@pytest.mark.parametrize(
    ("event", "finish", "failed"),
    [
        (b"event: error\ndata: overloaded\n\n", "stop", "overloaded"),
        (b'event: error\r\ndata: {"message": "overloaded"}\r\n\r\n', "stop", "overloaded"),
        (b"event: error\ndata:\n\n", "stop", "the stream failed"),
        (b'data: {"detail": "overloaded"}\n\n', None, "overloaded"),
        (b'data: {"error_msg": {"a": 1}}\n\n', None, "the stream failed"),
        (b'data: {"message": "a status"}\n\n', "stop", None),
        (b"event: ping\ndata: {}\n\n", None, None),
    ],
)
def test_errors_of_other_forms_end_an_answer(event: bytes, finish: str | None, failed: str | None) -> None:
    said = encode_sse(make_chunk({"content": "a"}, finish))
    assert accumulate_stream("chat", said + event + b"data: [DONE]\n\n").failed == failed


def test_a_hidden_chunk_takes_both_bytes_of_its_last_line_ending_with_it() -> None:
    said = encode_sse(make_chunk({"content": "a"}, "stop")).replace(b"\n", b"\r\n")
    hidden = encode_sse(USAGE_CHUNK).replace(b"\n", b"\r\n")
    for after in (b"", b"data: [DONE]\r\n\r\n"):
        assembler = dialect_of("chat").stream_accumulator(include_usage=False)
        pieces = (said + hidden[:-1], hidden[-1:], after)
        assert b"".join([*map(assembler.feed, pieces), assembler.end()]) == said + after
