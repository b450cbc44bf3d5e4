"""Calls whose JSON or streams are written in ways that their standards allow and few expect."""

from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web
from tests.support.dialects import encode_sse
from tests.support.provider_events import USAGE_CHUNK, make_chunk
from tests.support.router_harness import BuildHarness, RouterHarness, body_of, router_harnesses
from tests.support.scripted_upstream import scripted_upstream, stream_reply

LONG = 12345678901234567890123
MARK = b"\xef\xbb\xbf"


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


def _tool_use(written: str) -> bytes:
    return (
        b'{"id":"m","type":"message","role":"assistant","model":"claude","content":[{"type":"tool_use","id":"toolu_1",'
        b'"name":"f","input":' + written.encode() + b'}],"stop_reason":"tool_use","usage":{"output_tokens":5}}'
    )


async def _arguments(house: RouterHarness) -> str:
    event = await house.event()
    assert event.response is not None, event.error
    (call,) = event.response.message.tool_calls or ()
    return call.function.arguments


async def test_an_integer_of_any_size_reaches_the_teacher_with_all_its_digits(build: BuildHarness) -> None:
    house = await build()
    for fields in ({"stream": True}, {"metadata": {"task": "other"}}, {"stream": True, "stream_options": {}}):
        body = orjson.dumps(body_of("chat", seed=7, **fields)).replace(b"7", str(LONG).encode(), 1)
        assert (await house.send("POST", "/v1/chat/completions", data=body)).status == 200
        assert str(LONG).encode() in house.teacher.raws[-1]
    assert len(await house.recorded()) == 3


async def test_an_integer_in_a_tools_arguments_is_recorded_with_all_its_digits(build: BuildHarness) -> None:
    written = f'{{"id":{LONG}}}'
    async with scripted_upstream(
        lambda _: web.Response(body=_tool_use(written), content_type="application/json")
    ) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        turn = {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"id": 7}}],
        }
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}
        body = orjson.dumps(body_of("messages", messages=[{"role": "user", "content": "hi"}, turn, result]))
        got = await house.send("POST", "/v1/messages", data=body.replace(b'"id":7', f'"id":{LONG}'.encode()))
        assert got.status == 200
        assert await _arguments(house) == written
        asked = (await house.event()).request.messages[1].tool_calls or ()
        assert [call.function.arguments for call in asked] == [written]


async def test_an_integer_in_a_streams_arguments_is_recorded_with_all_its_digits(build: BuildHarness) -> None:
    written = f'{{"id":{LONG}}}'
    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": written}
    stream = encode_sse(
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
        named=True,
    )
    async with scripted_upstream(lambda _: stream_reply(stream)) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        assert (await house.ask("messages", stream=True)).body == stream
        assert await _arguments(house) == written


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", MARK])
async def test_a_stream_is_read_whatever_ends_its_lines(build: BuildHarness, end: bytes, mark: bytes) -> None:
    events = encode_sse(make_chunk({"content": "Hi"}), make_chunk({"content": " you"}, "stop"), USAGE_CHUNK, "[DONE]")
    stream = mark + events.replace(b"\n", end)
    async with scripted_upstream(lambda _: stream_reply(stream)) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        assert (await house.ask("chat", stream=True, stream_options={"include_usage": True})).body == stream
        event = await house.event()
        assert (event.error, event.response and event.response.message.content) == (None, "Hi you")
        assert event.usage.completion_tokens == 9


async def test_a_byte_order_mark_before_json_is_no_part_of_it(build: BuildHarness) -> None:
    seen: list[bytes] = []

    def reply(body: bytes) -> web.Response:
        seen.append(body)
        return web.Response(body=MARK + _tool_use("{}"), content_type="application/json")

    async with scripted_upstream(reply) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        body = orjson.dumps(body_of("messages"))
        got = await house.send("POST", "/v1/messages", data=MARK + body)
        assert (got.status, got.body, seen) == (200, MARK + _tool_use("{}"), [body])
        assert await _arguments(house) == "{}"


ODD = [b'"text":"so \\ud83d\\ude00","p":NaN', b'"text":"so \\ud83d\\ude00","p":-Infinity']


@pytest.mark.parametrize("odd", ODD)
async def test_json_that_clients_read_and_the_standard_does_not_allow_is_an_answer(
    build: BuildHarness, odd: bytes
) -> None:
    whole = _tool_use("{}").replace(b'{"type":"tool_use"', b'{"type":"text",' + odd + b'},{"type":"tool_use"')
    async with scripted_upstream(lambda _: web.Response(body=whole, content_type="application/json")) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        got = await house.ask("messages")
        assert (got.status, got.body) == (200, whole)
        event = await house.event()
    assert (event.error, event.response and event.response.message.content) == (None, "so \N{GRINNING FACE}")


async def test_half_a_character_reaches_the_caller_and_is_replaced_in_the_record(build: BuildHarness) -> None:
    whole = _tool_use("{}").replace(b'{"type":"tool_use"', b'{"type":"text","text":"so \\ud83d"},{"type":"tool_use"')
    async with scripted_upstream(lambda _: web.Response(body=whole, content_type="application/json")) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        got = await house.ask("messages")
        assert (got.status, got.body) == (200, whole)
        event = await house.event()
    assert event.response is not None
    assert event.response.message.content == "so \N{REPLACEMENT CHARACTER}"


async def test_a_stream_with_a_damaged_event_reaches_the_caller_and_is_no_answer(build: BuildHarness) -> None:
    damaged = b'data: {"choices":[{"index":0,"delta":{"content":" not"}\n\n'
    parts = encode_sse(make_chunk({"content": "do"})), damaged, encode_sse(make_chunk({"content": " it"}, "stop"))
    stream = b"".join(parts) + encode_sse("[DONE]")
    async with scripted_upstream(lambda _: stream_reply(stream)) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        assert (await house.ask("chat", stream=True, stream_options={"include_usage": True})).body == stream
        event = await house.event()
    assert (event.response, event.error) == (None, "teacher answered 502: an event of the stream is not JSON")


async def test_a_stream_with_half_a_character_is_repeated_from_the_cache(build: BuildHarness) -> None:
    token = b'data: {"choices":[{"index":0,"delta":{"content":"so"},"logprobs":{"content":[{"token":"\\ud83d"}]}}]}\n\n'
    stream = token + encode_sse(make_chunk({}, "stop"), USAGE_CHUNK, "[DONE]")
    async with scripted_upstream(lambda _: stream_reply(stream)) as url:
        house = await build(teachers={"teacher": {"base_url": url}}, rules={"tasks": {"t": {"cache_ttl_s": 60}}})
        for _ in range(2):
            got = await house.ask("chat", stream=True, temperature=0, headers={"x-understudies-task": "t"})
            assert got.status == 200
        events = await house.recorded()
    assert [event.error for event in events] == [None, None]


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\uDE00"])
async def test_a_request_with_half_a_character_is_the_teachers_to_read(build: BuildHarness, half: bytes) -> None:
    house = await build()
    body = orjson.dumps(body_of("chat", user="cut here")).replace(b"here", half)
    got = await house.send("POST", "/v1/chat/completions", data=body)
    assert (got.status, got.about["reason"], house.teacher.raws[-1]) == (200, "passed_through", body)
    assert await house.recorded() == []
    for wrong in (body.replace(b"{", b'{"top_p":NaN,', 1), body[:-1], body.replace(b'"model":"', b'"model":"\\ud83d')):
        assert (await house.send("POST", "/v1/chat/completions", data=wrong)).status == 400
