"""Teachers asked for streams, over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.support.fake_teacher import LARGE, Behaviour, FakeTeacher, refusing_address
from tests.support.fake_teacher_responses import MODELS, Api, render_response, render_stream
from tests.support.upstream import FakeTime, call_of, teachers

from understudies.router.call import TeacherError, TeacherStream
from understudies.router.upstream.teachers import TeacherPool

APIS: tuple[Api, ...] = ("chat", "responses", "messages")
TOOL = {"name": "block_card", "arguments": {"card": 7}}


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher("Your card is blocked, and a new one is on its way.") as fake:
        yield fake


@pytest.fixture
async def other() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher("the other teacher's answer") as fake:
        yield fake


async def read(stream: TeacherStream) -> bytes:
    return b"".join([piece async for piece in stream])


async def broken(stream: TeacherStream) -> tuple[bytes, TeacherError]:
    """What came before a stream broke off, and how it did."""
    came = []
    try:
        async for piece in stream:
            came.append(piece)
    except TeacherError as error:
        return b"".join(came), error
    raise AssertionError("the stream came to its end")


async def failure(asked: TeacherPool, **fields: Any) -> TeacherError:
    with pytest.raises(TeacherError) as raised:
        await asked.stream(call_of(stream=True, **fields))
    return raised.value


@pytest.mark.parametrize("tools", [(), (TOOL,)])
@pytest.mark.parametrize("mood", ["answer", "drip", "zipped"])
@pytest.mark.parametrize("api", APIS)
async def test_a_stream_passes_byte_for_byte_and_is_recorded_whole(
    teacher: FakeTeacher, api: Api, mood: Behaviour, tools: tuple[dict[str, Any], ...]
) -> None:
    teacher.mood, teacher.tools = mood, tools
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if api == "chat" else {}
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = call_of(api, stream=True, **options)
        stream = await asked.stream(call)
        assert await read(stream) == teacher.stream(api)
        streamed_answer = stream.answer()
        whole_answer = await asked.ask(call)
    assert teacher.raws[0] == call.raw
    assert stream.headers == {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-1"}
    same = ("model", "usage", "cost_usd", "teacher", "estimated", "client_disconnected", "status")
    assert [getattr(streamed_answer, name) for name in same] == [getattr(whole_answer, name) for name in same]
    assert streamed_answer.response == whole_answer.response
    assert streamed_answer.model == MODELS[api]


async def test_usage_that_the_caller_did_not_ask_for_is_recorded_and_not_shown(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        shown = await read(stream)
    assert teacher.asked[0]["stream_options"] == {"include_usage": True}
    events = render_stream("chat", teacher.said)
    assert shown == b"".join(events[:-2] + events[-1:])
    assert (stream.answer().usage.prompt_tokens, stream.answer().estimated) == (1000, False)


async def test_a_call_without_a_body_is_streamed_as_a_chat(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(replace(call_of("messages", stream=True), raw=None))
        await read(stream)
    assert stream.answer().usage.prompt_tokens == 1000
    assert teacher.asked[0]["stream"] is True


@pytest.mark.parametrize("api", APIS)
async def test_a_caller_that_hangs_up_cancels_the_teacher_and_pays_what_came(teacher: FakeTeacher, api: Api) -> None:
    teacher.hold_after = {"chat": 4, "responses": 7, "messages": 6}[api]
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = call_of(api, stream=True)
        stream = await asked.stream(call)
        came = b""
        async for piece in stream:
            came += piece
            if b"is" in came:
                break
        await stream.close()
        await asyncio.wait_for(teacher.cancelled.wait(), 10)
        answer = stream.answer(client_disconnected=True)
        assert asked.upstreams[0].counts.cancelled == 1
    assert answer.response.message.text == "Your card is"
    assert (answer.client_disconnected, answer.estimated, answer.usage.completion_tokens) == (True, True, 3)
    sent = len(call.raw or b"") if api != "chat" else len(teacher.raws[0])
    assert answer.usage.prompt_tokens == (1000 if api == "messages" else round(sent / 4))
    assert answer.cost_usd > 0


async def test_estimates_learn_from_complete_calls(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        await read(complete := await asked.stream(call_of(stream=True)))
        complete.answer()
        complete.answer()
        teacher.hold_after = 6
        stream = await asked.stream(call_of(stream=True))
        async for _ in stream:
            if teacher.held.is_set():
                break
        await stream.close()
        answer = stream.answer(client_disconnected=True)
    part = len(answer.response.message.text) / len(teacher.text)
    assert answer.usage.completion_tokens == round(100 * part)
    assert answer.usage.prompt_tokens == 1000


async def test_a_stream_that_reports_no_usage_is_estimated(teacher: FakeTeacher) -> None:
    teacher.mood = "no_usage"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        await read(stream)
    answer = stream.answer()
    assert (answer.estimated, answer.usage.completion_tokens) == (True, round(len(teacher.text) / 4))


async def test_a_stream_that_is_cancelled_before_it_begins_is_cancelled_at_the_teachers(teacher: FakeTeacher) -> None:
    teacher.hold_after = 0
    async with teachers(main={"base_url": teacher.url}) as asked:
        opening = asyncio.create_task(asked.stream(call_of(stream=True)))
        await asyncio.wait_for(teacher.held.wait(), 10)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await asyncio.wait_for(teacher.cancelled.wait(), 10)
        assert [upstream.counts.answered for upstream in asked.upstreams] == [0]


@pytest.mark.parametrize("mood", ["fail", "overloaded", "limit", "drop", "html", "error_first"])
@pytest.mark.parametrize("api", APIS)
async def test_failures_before_the_first_byte_are_tried_again(teacher: FakeTeacher, api: Api, mood: Behaviour) -> None:
    teacher.moods.extend([mood, mood])
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(api, stream=True))
        await read(stream)
    assert stream.answer().response.message.text == teacher.text
    assert len(teacher.asked) == 3


@pytest.mark.parametrize("mood", ["fail", "page", "hang", "error_first"])
async def test_failures_before_the_first_byte_move_on(
    teacher: FakeTeacher, other: FakeTeacher, mood: Behaviour
) -> None:
    teacher.mood = mood
    async with teachers(
        main={
            "base_url": teacher.url,
            "auth": "none",
            "fallback": [{"teacher": "second", "model": "their-mini"}],
            "retries": {"max": 0},
            "timeouts": {"first_byte_s": 0.2},
        },
        second={"base_url": other.url, "auth": "none", "models": ["their-*"]},
    ) as asked:
        stream = await asked.stream(call_of(stream=True))
        await read(stream)
    assert stream.answer().teacher == "second"
    assert (other.asked[0]["model"], other.asked[0]["stream"]) == ("their-mini", True)


async def test_a_refused_connection_is_an_error_before_the_stream() -> None:
    with refusing_address() as url:
        async with teachers(main={"base_url": url}) as asked:
            assert (await failure(asked)).code == "teacher_unreachable"


async def test_an_error_instead_of_a_stream_is_the_callers(teacher: FakeTeacher) -> None:
    teacher.mood = "refuse"
    async with teachers(main={"base_url": teacher.url}) as asked:
        error = await failure(asked)
    assert (error.status, json.loads(error.raw or b"")["error"]["message"]) == (400, "temperature is too high")
    assert (
        error.headers["x-request-id"] == "req-2"
    )  # asked again without `stream_options`, which might have been the reason


@pytest.mark.parametrize("api", APIS)
async def test_a_whole_body_instead_of_a_stream_passes(teacher: FakeTeacher, api: Api) -> None:
    teacher.mood = "whole"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(api, stream=True))
        assert json.loads(await read(stream)) == render_response(api, teacher.said)
        await stream.close()
    assert stream.headers["content-type"] == "application/json"
    # It was whole before anybody could hang up.
    assert not stream.answer(client_disconnected=True).client_disconnected
    assert stream.answer().cost_usd == (Decimal("0.0045") if api == "messages" else Decimal("0.00021"))


async def test_json_that_is_no_answer_passes_and_is_none(teacher: FakeTeacher) -> None:
    teacher.mood = "odd"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        shown = await read(stream)
        with pytest.raises(TeacherError) as raised:
            stream.answer()
    assert (raised.value.status, raised.value.raw) == (200, shown)


async def test_a_web_page_is_no_stream(teacher: FakeTeacher) -> None:
    teacher.mood = "page"
    async with teachers(main={"base_url": teacher.url}) as asked:
        error = await failure(asked)
    assert (error.status, error.raw) == (502, None)
    assert "text/html, not a stream" in error.message


@pytest.mark.parametrize("mood", ["truncate", "reset", "cut"])
@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_breaks_off_passes_what_came_and_raises(
    teacher: FakeTeacher, api: Api, mood: Behaviour
) -> None:
    teacher.mood = mood
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(api, stream=True))
        came, error = await broken(stream)
        with pytest.raises(TeacherError) as raised:
            stream.answer()
        assert asked.upstreams[0].counts.broke_off == 1
    assert teacher.stream(api).startswith(came)
    assert (error.status, error.code, len(teacher.asked)) == (502, "teacher_answer_broken", 1)
    assert (raised.value.status, raised.value.message) == (error.status, error.message)
    assert raised.value.cost_usd > 0


async def test_what_calls_itself_a_stream_and_is_none_passes_and_raises(teacher: FakeTeacher) -> None:
    teacher.mood = "not_json"
    async with teachers(main={"base_url": teacher.url}) as asked:
        came, error = await broken(await asked.stream(call_of("messages", stream=True)))
    assert came == b"data: {moo\n\nmoo\n\n\xff\xfe\n\n"
    assert error.status == 502


@pytest.mark.parametrize("api", APIS)
async def test_an_error_inside_the_stream_passes_and_is_no_answer(teacher: FakeTeacher, api: Api) -> None:
    teacher.mood = "error_event"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(api, stream=True))
        assert b"overloaded in the middle" in await read(stream)
        with pytest.raises(TeacherError, match="overloaded in the middle") as raised:
            stream.answer()
    assert raised.value.status == 502
    assert raised.value.cost_usd > 0


async def test_a_stream_that_stalls_is_given_up(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    async with teachers(main={"base_url": teacher.url, "timeouts": {"idle_s": 0.05}}) as asked:
        came, error = await broken(await asked.stream(call_of(stream=True)))
        await asyncio.wait_for(teacher.cancelled.wait(), 10)
    assert came
    assert (error.status, error.code) == (504, "teacher_timeout")


async def test_a_stream_ends_with_the_calls_time(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    time = FakeTime()
    async with teachers(time, main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        await asyncio.wait_for(teacher.held.wait(), 10)
        time.now += 1800
        assert (await broken(stream))[1].code == "teacher_timeout"


async def test_streams_that_break_off_open_the_circuit(teacher: FakeTeacher) -> None:
    teacher.mood = "cut"
    async with teachers(main={"base_url": teacher.url, "breaker": {"min_calls": 4}}) as asked:
        for _ in range(2):
            await broken(await asked.stream(call_of(stream=True)))
        assert (await failure(asked)).code == "teacher_circuit_open"


async def test_a_large_stream_passes_and_one_beyond_the_limit_ends(teacher: FakeTeacher) -> None:
    teacher.mood = "large"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        assert len(await read(stream)) > LARGE
    assert len(stream.answer().response.message.text) == LARGE
    async with teachers(main={"base_url": teacher.url}, max_answer_bytes=LARGE) as asked:
        came, error = await broken(await asked.stream(call_of(stream=True)))
    assert len(came) <= LARGE
    assert error.code == "teacher_answer_too_large"


async def test_an_answer_asked_for_too_early_is_none(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        with pytest.raises(TeacherError, match="ended before its answer did"):
            stream.answer()
        await stream.close()


async def test_a_connection_is_kept_after_a_stream_that_was_read_to_its_end(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        for _ in range(3):
            await read(await asked.stream(call_of(stream=True)))
    assert len(teacher.connections) == 1


async def test_the_whole_answer_can_be_had_from_a_stream(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        stream = await asked.stream(call_of(stream=True))
        await read(stream)
    body = json.loads(stream.body())
    assert body["choices"][0]["message"]["content"] == teacher.text


async def test_hanging_up_before_the_answer_began_is_an_error_that_costs_the_prompt(teacher: FakeTeacher) -> None:
    teacher.mood = "ping"
    async with teachers(main={"base_url": teacher.url, "price_per_mtok": {"input": 1_000_000, "output": 0}}) as asked:
        stream = await asked.stream(call_of(stream=True))
        await stream.close()
        with pytest.raises(TeacherError) as raised:
            stream.answer(client_disconnected=True)
    assert (raised.value.status, raised.value.code) == (499, "hung_up")
    assert raised.value.cost_usd == round(len(teacher.raws[0]) / 4)
