"""Streams pass through chunk by chunk; how they end is recorded."""

import gc
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.sightings import corpus_lines

from understudies.client import Understudies
from understudies.client.decoding.stream_accumulator import accumulate_chunks
from understudies.client.errors import NotRecorded
from understudies.client.stream_taps import ABANDONED, tap_stream
from understudies.events import Usage, UsageDetails

PIECES = ["one ", "two ", "three"]


class Ending:
    """Notes how a stream ended."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[Any], BaseException | str | None]] = []

    def __call__(self, chunks: list[Any], error: BaseException | str | None) -> None:
        self.seen.append((chunks, error))


def pieces() -> Iterator[str]:
    yield from PIECES


async def pieces_async() -> AsyncIterator[str]:
    for piece in PIECES:
        yield piece


def told(prompt: str) -> Generator[str, None, None]:
    yield from PIECES


def test_a_generator_gives_the_same_chunks_one_by_one() -> None:
    ending = Ending()
    stream = tap_stream(pieces(), ending)
    assert next(stream) == "one "
    assert ending.seen == []
    assert list(stream) == ["two ", "three"]
    assert ending.seen == [(PIECES, None)]


async def test_an_async_generator_as_well() -> None:
    ending = Ending()
    assert [piece async for piece in tap_stream(pieces_async(), ending)] == PIECES
    assert ending.seen == [(PIECES, None)]


def _close(stream: Any) -> None:
    stream.close()


def _leave(stream: Any) -> None:
    del stream
    gc.collect()


@pytest.mark.parametrize("stop", [_close, _leave])
def test_a_stream_that_is_left_half_way_is_told_once(stop: Callable[[Any], None]) -> None:
    ending = Ending()
    streams = [tap_stream(pieces(), ending)]
    assert next(streams[0]) == "one "
    stop(streams.pop())
    gc.collect()
    assert ending.seen == [(["one "], ABANDONED)]


async def test_an_async_stream_that_is_closed_half_way_is_told_once() -> None:
    ending = Ending()
    stream = tap_stream(pieces_async(), ending)
    assert await anext(stream) == "one "
    await stream.aclose()
    assert [piece async for piece in stream] == []
    assert ending.seen == [(["one "], ABANDONED)]


def test_an_error_in_the_middle_is_raised_and_told() -> None:
    error = ConnectionError("cut off")

    def cut() -> Iterator[str]:
        yield "one"
        raise error

    ending = Ending()
    stream = tap_stream(cut(), ending)
    with pytest.raises(ConnectionError) as caught:
        list(stream)
    assert caught.value is error
    assert ending.seen == [(["one"], error)]


@pytest.mark.parametrize("answer", ["text", {"a": 1}, ["a"], 3, None, ("a",)])
def test_what_is_no_stream_is_left_alone(answer: Any) -> None:
    assert tap_stream(answer, Ending()) is None


def test_a_shadowed_generator_is_recorded_when_it_ends(tmp_path: Path) -> None:
    with Understudies(corpus=tmp_path / "c") as client:
        teacher = client.shadow(told)
        assert list(teacher("a")) == PIECES
        with_break = teacher("b")
        for piece in with_break:
            assert piece == "one "
            break
        with_break.close()
        assert client.flush(10)
        assert [line["messages"][-1]["content"] for line in corpus_lines(tmp_path / "c")] == ["one two three"]
        assert client.dropped == 0


def test_anthropic_events_are_assembled() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 2, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "c-1", "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "see."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t1", "name": "w"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ": 1}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    answer = accumulate_chunks(events).to_answer()
    assert answer.model == "c-1"
    assert answer.response.finish_reason == "tool_calls"
    assert answer.response.message.content == "Let me see."
    calls = answer.response.message.tool_calls
    assert calls is not None
    assert (calls[0].id, calls[0].function.name, calls[0].function.arguments) == ("t1", "w", '{"a":1}')
    counts = Usage(prompt_tokens=42, completion_tokens=7, cached_tokens=30, details=UsageDetails(cache_write_tokens=2))
    assert answer.usage == counts


def test_a_stream_that_ends_in_an_error_is_no_answer() -> None:
    events = [
        {"type": "message_start", "message": {"model": "c-1"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "half"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
    ]
    assert accumulate_chunks(events).failed == "overloaded"


def test_messages_of_langchain_that_are_pieces_are_assembled() -> None:
    def piece(content: Any, **fields: Any) -> dict[str, Any]:
        return {"type": "AIMessageChunk", "content": content, **fields}

    chunks = [
        piece("Let "),
        piece([{"type": "text", "text": "me see"}]),
        piece("", tool_call_chunks=[{"index": 0, "id": "c1", "name": "look", "args": '{"a"'}]),
        piece("", tool_call_chunks=[{"index": 0, "id": None, "name": None, "args": ":1}"}]),
        piece("", usage_metadata={"input_tokens": 9, "output_tokens": 2}, response_metadata={"finish_reason": "stop"}),
    ]
    answer = accumulate_chunks(chunks).to_answer()
    assert answer.response.message.content == "Let me see"
    assert [call.function.arguments for call in answer.response.message.tool_calls or ()] == ['{"a":1}']
    assert (answer.response.finish_reason, answer.usage.prompt_tokens) == ("stop", 9)


def test_pieces_of_text_of_the_older_api_are_assembled() -> None:
    chunks = [
        {"choices": [{"index": 0, "text": "a", "finish_reason": None}]},
        {"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]},
    ]
    assert accumulate_chunks(chunks).to_answer().response.message.content == "ab"


def test_interleaved_tool_calls_and_other_choices() -> None:
    def chunk(**delta: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    def call(index: int, **function: Any) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": index, "id": function.pop("id", None), "function": function}])

    chunks = [call(0, id="a", name="f", arguments="{"), call(1, id="b", name="g", arguments="[")]
    chunks += [call(1, arguments="]"), call(0, arguments="}"), {"choices": [{"index": 1, "delta": {"content": "no"}}]}]
    calls = accumulate_chunks(chunks).to_answer().response.message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("a", "f", "{}"),
        ("b", "g", "[]"),
    ]


def test_chunks_of_no_known_form_are_one_json_text() -> None:
    assert accumulate_chunks([1, [2]]).to_answer().response.message.content == "[1, [2]]"
    with pytest.raises(NotRecorded):
        accumulate_chunks([])
