"""Answers through the whole router: by teacher and student, whole and streamed, in three APIs, to the byte."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.fake_teacher_responses import MODELS, Api, render_response
from tests.support.router_fixtures import make_drift
from tests.support.router_harness import APIS, BuildHarness, RouterHarness, router_harnesses

from understudies.students.base import text_answer

TOOL = {"name": "block_card", "arguments": {"card": 7, "why": "stolen – near the “harbour”"}}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.fixture
async def house(build: BuildHarness) -> RouterHarness:
    return await build()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("tools", [(), (TOOL,), (TOOL, TOOL)])
async def test_a_teachers_whole_answer_is_passed_to_the_byte(
    house: RouterHarness, api: Api, tools: tuple[object, ...]
) -> None:
    house.teacher.tools = tools  # type: ignore[assignment] # parametrized
    got = await house.ask(api)
    assert (got.status, got.body) == (200, json.dumps(render_response(api, house.teacher.said)).encode())
    assert got.headers["x-request-id"] == "req-1"
    assert "set-cookie" not in got.headers
    event = await house.event()
    assert (event.api, event.streamed, event.served_by) == (api, False, "teacher")
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (1000, 100)
    assert (event.usage_estimated, event.model) == (False, MODELS[api])
    assert event.cost_usd > 0
    assert event.response is not None
    assert len(event.response.message.tool_calls or ()) == len(tools)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("mood", ["answer", "drip", "ping"])
async def test_a_teachers_stream_is_passed_to_the_byte(house: RouterHarness, api: Api, mood: str) -> None:
    house.teacher.mood = mood  # type: ignore[assignment] # parametrized
    house.teacher.release.set()
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}} if api == "chat" else {}
    got = await house.ask(api, stream=True, **asked)
    comment = b": still thinking\n\n" if mood == "ping" else b""
    assert got.body == comment + house.teacher.stream(api)
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    event = await house.event()
    assert (event.api, event.streamed, event.served_by, event.hung_up) == (api, True, "teacher", False)
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (1000, 100)
    assert event.response is not None
    assert event.response.message.text == "teacher's answer"
    assert event.cost_usd > 0


async def test_usage_that_nobody_asked_for_is_counted_and_not_shown(house: RouterHarness) -> None:
    got = await house.ask("chat", stream=True)
    assert house.teacher.asked[0]["stream_options"] == {"include_usage": True}
    assert got.body == b"".join(event for event in events_of(house) if b'"choices": []' not in event)
    event = await house.event()
    assert event.usage.completion_tokens == 100


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by_endpoint", [False, True])
async def test_a_students_answer_comes_in_every_api(
    build: BuildHarness, api: Api, stream: bool, by_endpoint: bool
) -> None:
    house = await build(by_endpoint=by_endpoint)
    await house.promote(threshold=0.5)
    got = await house.ask(api, stream=stream)
    text = "refund" if by_endpoint else "student's answer"
    assert got.status == 200
    assert text.encode() in got.body
    assert got.about["served-by"] == "student"
    assert got.about["student"] == "triage@1"
    assert got.about["reason"] == "promoted"
    assert float(got.about["confidence"]) > 0.5
    event = await house.event()
    assert got.about["invocation"] == event.id
    assert (event.api, event.streamed, event.served_by, event.student) == (api, stream, "student", "triage@1")
    assert event.response is not None
    assert event.response.message.text == text
    assert event.cost_usd > 0
    assert house.teacher.asked == []
    if by_endpoint:
        assert (event.usage.prompt_tokens, event.usage.completion_tokens) == (40, 2)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by_endpoint", [False, True])
async def test_an_unsure_student_escalates_within_the_same_answer(
    build: BuildHarness, api: Api, stream: bool, by_endpoint: bool
) -> None:
    house = await build(by_endpoint=by_endpoint)
    await house.promote(threshold=0.9)
    house.student.reply = text_answer("a guess", 0.2)
    got = await house.ask(api, stream=stream)
    assert got.status == 200
    assert got.about["served-by"] == "teacher"
    assert got.about["reason"] == "low_confidence"
    assert b"a guess" not in got.body
    event = await house.event()
    assert (event.served_by, event.student, event.streamed) == ("teacher", "triage@1", stream)
    assert event.route is not None
    assert event.route.reason == "low_confidence"
    assert event.cost_usd > event.route.student_cost_usd > 0


def events_of(house: RouterHarness) -> list[bytes]:
    """What the teacher streams, event by event."""
    return [event + b"\n\n" for event in house.teacher.stream("chat").split(b"\n\n") if event]


async def test_drift_moves_the_next_call_to_the_teacher(house: RouterHarness) -> None:
    await house.promote()
    assert (await house.ask("messages")).about["served-by"] == "student"
    await house.publish(make_drift())
    assert (await house.ask("messages")).about["reason"] == "drift"
