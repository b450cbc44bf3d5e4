"""Streams as providers send them."""

from typing import Any

import pytest
from tests.support.dialects import accumulate_stream, encode_sse
from tests.support.provider_events import (
    END_EVENTS,
    RESPONSE,
    START_EVENTS,
    TEXT_EVENTS,
    TOOL_CALL_EVENTS,
    USAGE_CHUNK,
    make_chunk,
)

from understudies.dialects.base import Api
from understudies.dialects.registry import dialect_of
from understudies.events import Usage


def test_a_response_that_breaks_off_is_put_together_from_its_pieces() -> None:
    assembler = accumulate_stream("responses", encode_sse(*TEXT_EVENTS, *TOOL_CALL_EVENTS, named=True))
    answered = assembler.answer()
    assert (assembler.finished, assembler.characters) == (False, 19)
    assert (answered.model, answered.response.finish_reason) == ("m", None)
    assert answered.response.message.content == "Let me look."
    (call,) = answered.response.message.tool_calls or ()
    assert (call.id, call.function.arguments) == ("c1", '{"a":1}')
    assert assembler.body()["status"] == "in_progress"


def test_a_response_without_its_output_in_the_end_has_the_items_that_came() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "done"}]}
    usage = {"input_tokens": 3, "output_tokens": 2}
    stream = encode_sse(
        *TEXT_EVENTS,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**RESPONSE, "status": "completed", "usage": usage}},
    )
    assembler = accumulate_stream("responses", stream)
    answered = assembler.answer()
    assert (assembler.finished, answered.response.message.content) == (True, "done")
    assert (answered.response.finish_reason, answered.usage) == ("stop", Usage(prompt_tokens=3, completion_tokens=2))


def test_a_message_is_put_together_from_its_blocks() -> None:
    assembler = accumulate_stream("messages", encode_sse(*START_EVENTS, *END_EVENTS, named=True))
    answered = assembler.answer()
    assert (assembler.finished, assembler.characters) == (True, 16)
    assert assembler.body()["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Let me", "citations": [{"url": "u"}]},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    assert (answered.response.message.content, answered.response.finish_reason) == ("Let me", "tool_calls")
    assert answered.usage == Usage(prompt_tokens=9, completion_tokens=9, cached_tokens=2)


def test_a_message_that_breaks_off_keeps_the_text_of_its_input() -> None:
    assembler = accumulate_stream("messages", encode_sse(*START_EVENTS, named=True))
    (call,) = assembler.answer().response.message.tool_calls or ()
    assert call.function.arguments == '{"a": '
    assert assembler.body()["content"][2]["input"] == {}
    assert (assembler.finished, assembler.answer().usage.prompt_tokens) == (False, 7)


def test_blocks_at_one_index_are_told_apart() -> None:
    def block(call: str, name: str) -> list[dict[str, Any]]:
        opening = {"type": "tool_use", "id": call, "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": f'{{"by":"{call}"}}'}
        return [
            {"type": "content_block_start", "index": 0, "content_block": opening},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
        ]

    calls = accumulate_stream("messages", encode_sse(*block("c1", "f"), *block("c2", "g"), named=True)).answer()
    made = [(call.id, call.function.arguments) for call in calls.response.message.tool_calls or ()]
    assert made == [("c1", '{"by":"c1"}'), ("c2", '{"by":"c2"}')]


@pytest.mark.parametrize("place", [{"output_index": 0}, {}])
def test_items_at_one_index_are_told_apart(place: dict[str, Any]) -> None:
    def item(call: str) -> list[dict[str, Any]]:
        opening = {"id": f"fc_{call}", "type": "function_call", "call_id": call, "name": "f", "arguments": ""}
        delta = {
            "type": "response.function_call_arguments.delta",
            "item_id": f"fc_{call}",
            "delta": f'{{"by":"{call}"}}',
        }
        return [{"type": "response.output_item.added", "item": opening, **place}, {**delta, **place}]

    answered = accumulate_stream("responses", encode_sse(*item("c1"), *item("c2"), named=True)).answer()
    made = [(call.id, call.function.arguments) for call in answered.response.message.tool_calls or ()]
    assert made == [("c1", '{"by":"c1"}'), ("c2", '{"by":"c2"}')]


@pytest.mark.parametrize("cut", [1, 2, 7, 10_000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("include_usage", [True, False])
def test_lines_end_in_any_of_three_ways(end: bytes, mark: bytes, cut: int, include_usage: bool) -> None:
    events = encode_sse(make_chunk({"content": "Hi"}), make_chunk({"content": " you"}, "stop"), USAGE_CHUNK, "[DONE]")
    stream = mark + events.replace(b"\n", end)
    accumulator = dialect_of("chat").stream_accumulator(include_usage=include_usage)
    shown = [accumulator.feed(stream[start : start + cut]) for start in range(0, len(stream), cut)]
    passed = b"".join([*shown, accumulator.end()])
    answered = accumulator.answer()
    assert (answered.response.message.content, accumulator.finished) == ("Hi you", True)
    assert answered.usage.completion_tokens == 9
    assert passed == stream if include_usage else b'"usage":{' not in passed


@pytest.mark.parametrize(
    ("api", "event", "failed"),
    [
        ("chat", {"error": {"message": "too much", "code": "x"}}, "too much"),
        ("chat", {"error": "too much"}, "too much"),
        ("chat", {"error": {}}, None),
        ("chat", {"error": {"code": 3}}, "the stream failed"),
        ("responses", {"type": "error", "message": "too much", "code": "x"}, "too much"),
        ("responses", {"type": "error", "error": {"message": "too much"}}, "too much"),
        ("responses", {"type": "response.failed", "response": {"error": {"message": "too much"}}}, "too much"),
        ("responses", {"type": "response.cancelled", "response": {}}, "the stream failed"),
        ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "too much"}}, "too much"),
        ("messages", {"type": "error"}, "the stream failed"),
    ],
)
def test_an_error_inside_a_stream_is_told(api: Api, event: dict[str, Any], failed: str | None) -> None:
    assembler = accumulate_stream(api, encode_sse(event))
    assert (assembler.failed, assembler.finished) == (failed, False)


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_an_error_of_the_routers_own_is_one(api: Api) -> None:
    told = accumulate_stream(api, dialect_of(api).encode_error_event("no teacher", "teacher_error")).failed
    assert told is not None
    assert told.endswith("no teacher")


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_a_stream_of_nothing_is_no_answer(api: Api) -> None:
    assembler = accumulate_stream(api, b": alive\n\ndata: nonsense\n\ndata: [1]\n\n")
    with pytest.raises(ValueError, match=r"^not a"):
        assembler.answer()


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_data_may_come_in_several_lines(api: Api) -> None:
    streams: dict[str, bytes] = {
        "chat": encode_sse(make_chunk({"content": "a"}), "[DONE]"),
        "responses": encode_sse(*TEXT_EVENTS, {"type": "response.completed", "response": RESPONSE}),
        "messages": encode_sse(*START_EVENTS[:8], {"type": "message_stop"}),
    }
    whole = streams[api]
    assembler = accumulate_stream(api, whole.replace(b'", "', b'",\ndata: "'))
    assert assembler.finished
    assert assembler.answer() == accumulate_stream(api, whole).answer()


STARTED: dict[str, Any] = {
    "type": "message_start",
    "message": {"model": "m", "usage": {"input_tokens": 9, "cache_read_input_tokens": 2, "output_tokens": 1}},
}


def said(text: str, index: int = 0) -> tuple[dict[str, Any], ...]:
    return (
        {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}},
    )


def stopped(reason: str | None = "end_turn", usage: dict[str, int] | None = None) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7, **(usage or {})}}


@pytest.mark.parametrize(("reason", "finished"), [("end_turn", True), (None, False)])
def test_a_message_that_says_why_it_stops_is_whole(reason: str | None, finished: bool) -> None:
    assert accumulate_stream("messages", encode_sse(STARTED, *said("a"), stopped(reason))).finished is finished


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, Usage(prompt_tokens=11, cached_tokens=2, completion_tokens=7)),
        (
            {"input_tokens": 0, "cache_read_input_tokens": 0},
            Usage(prompt_tokens=11, cached_tokens=2, completion_tokens=7),
        ),
        ({"input_tokens": 20, "cache_read_input_tokens": 0}, Usage(prompt_tokens=20, completion_tokens=7)),
    ],
)
def test_zeros_at_the_end_are_no_counts_of_a_prompt(usage: dict[str, int], expected: Usage) -> None:
    stream = encode_sse(STARTED, *said("a"), stopped(usage=usage), {"type": "message_stop"})
    assert accumulate_stream("messages", stream).answer().usage == expected


def test_a_text_without_its_start_and_input_as_an_object_are_read() -> None:
    opened = {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "c1", "name": "f"}}
    given = {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": {"a": 1}}}
    signed = {"type": "content_block_delta", "index": 2, "delta": {"type": "signature_delta", "signature": "s"}}
    stream = encode_sse(STARTED, said("hi")[1], opened, given, signed, stopped("tool_use"))
    message = accumulate_stream("messages", stream).answer().response.message
    (call,) = message.tool_calls or ()
    assert (message.content, call.function.arguments) == ("hi", '{"a":1}')


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}])
def test_an_error_without_a_type_fails_a_message(error: Any) -> None:
    stream = encode_sse(STARTED, *said("a"), {"error": error}, {"type": "message_stop"})
    assert accumulate_stream("messages", stream).failed == "boom"


@pytest.mark.parametrize(
    "end",
    [
        {"type": "response.completed", "response": {**RESPONSE, "status": "failed", "error": {"message": "boom"}}},
        {"type": "response.completed", "response": {**RESPONSE, "status": "completed", "error": {"message": "boom"}}},
        {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": "boom"}},
        {"error": "boom"},
    ],
)
def test_a_response_that_says_that_it_failed_is_no_answer(end: dict[str, Any]) -> None:
    assert accumulate_stream("responses", encode_sse(*TEXT_EVENTS, end)).failed == "boom"


def test_what_is_told_only_where_it_ends_is_read() -> None:
    called = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""}
    stream = encode_sse(
        {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
        {"type": "response.output_text.done", "output_index": 0, "text": "a"},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 1, "text": "b"},
        {"type": "response.output_item.added", "output_index": 1, "item": called},
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": '{"a":1}'},
        {"type": "response.completed", "response": {**RESPONSE, "status": "completed"}},
    )
    message = accumulate_stream("responses", stream).answer().response.message
    assert message.content == "ab"
    assert [call.function.arguments for call in message.tool_calls or ()] == ['{"a":1}']


def test_items_at_one_index_without_ids_of_their_own_are_told_apart() -> None:
    events: list[dict[str, Any]] = []
    for name in ("f", "g"):
        item = {"type": "function_call", "call_id": f"c-{name}", "name": name, "arguments": ""}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        ]
    stream = encode_sse(*events, {"type": "response.completed", "response": {**RESPONSE, "status": "completed"}})
    calls = accumulate_stream("responses", stream).answer().response.message.tool_calls or ()
    assert [(call.id, call.function.arguments) for call in calls] == [("c-f", "{}"), ("c-g", "{}")]


def pieces(api: Api, *texts: str) -> bytes:
    """A stream whose pieces of text are written into JSON as they are."""
    delta: dict[Api, str] = {
        "chat": '{"choices":[{"index":0,"delta":{"content":"%s"},"logprobs":{"content":[{"logprob":-1}]}}]}',
        "messages": '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"},"p":-1}',
        "responses": '{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"%s","p":-1}',
    }
    end: dict[Api, dict[str, Any]] = {
        "chat": make_chunk({}, "stop"),
        "messages": {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        "responses": {"type": "response.completed", "response": {**RESPONSE, "status": "completed"}},
    }
    said = "".join(f"data: {delta[api] % text}\n\n" for text in texts)
    return said.encode("utf-8", "surrogateescape") + encode_sse(end[api])


APIS: tuple[Api, ...] = ("chat", "messages", "responses")
HALVES = ("so \\ud83d", "\\ude00 it is")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"-1"])
def test_events_that_clients_read_and_the_standard_does_not_allow_are_read(api: Api, number: bytes) -> None:
    stream = pieces(api, *HALVES).replace(b":-1", b":" + number)
    accumulator = accumulate_stream(api, stream)
    assert (accumulator.finished, accumulator.failed, accumulator.damage) == (True, None, None)
    assert accumulator.answer().response.message.content == "so \N{GRINNING FACE} it is"


@pytest.mark.parametrize("api", APIS)
def test_half_a_character_that_stays_alone_is_replaced(api: Api) -> None:
    answered = accumulate_stream(api, pieces(api, "so ", HALVES[0])).answer()
    assert answered.response.message.content == "so so \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("damaged", ['half"', "h\udce2\udc82", "\t"])
def test_a_stream_with_a_damaged_event_is_no_answer(api: Api, damaged: str) -> None:
    accumulator = accumulate_stream(api, pieces(api, "the ", damaged, "rest"))
    assert (accumulator.failed, accumulator.damage) == (None, "an event of the stream is not JSON")


@pytest.mark.parametrize("include_usage", [True, False])
def test_an_event_that_is_cut_off_is_no_damage(include_usage: bool) -> None:
    accumulator = dialect_of("chat").stream_accumulator(include_usage=include_usage)
    accumulator.feed(pieces("chat", "all") + b'data: {"usage": {"prompt_to')
    accumulator.end()
    assert (accumulator.finished, accumulator.failed, accumulator.damage) == (True, None, None)
