"""Anthropic's own client before the router, sync and async, with nothing changed but its base URL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from tests.support.router_harness import KEY, PROMPT, TASK, BuildHarness, RouterHarness, router_harnesses

MODEL = "claude-sonnet"
PIXEL = "R0lGODlhAQABAAAAACwAAAAAAQABAAA="
TOOL: Any = {"name": "block_card", "input_schema": {"type": "object", "properties": {"card": {"type": "integer"}}}}
CALLED = {"name": "block_card", "arguments": {"card": 7}}
ASKED: Any = {
    "model": MODEL,
    "max_tokens": 300,
    "messages": [{"role": "user", "content": PROMPT}],
    "extra_headers": TASK,
}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.fixture
async def house(build: BuildHarness) -> RouterHarness:
    return await build()


@pytest.fixture
async def client(house: RouterHarness) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with house.anthropic() as client:
        yield client


@pytest.mark.parametrize("promoted", [False, True])
async def test_the_client_that_blocks_creates_and_streams(house: RouterHarness, promoted: bool) -> None:
    if promoted:
        await house.promote()

    def asked() -> list[str]:
        with house.anthropic_sync() as client:
            whole = client.messages.create(**ASKED)
            with client.messages.stream(**ASKED) as stream:
                pieces = "".join(stream.text_stream)
                final = stream.get_final_message()
            return [whole.content[0].text, pieces, final.content[0].text]  # type: ignore[union-attr]

    assert await asyncio.to_thread(asked) == ["student's answer" if promoted else "teacher's answer"] * 3
    events = await house.recorded()
    assert [(event.api, event.streamed) for event in events] == [("messages", False), ("messages", True)]
    assert {event.served_by for event in events} == {"student" if promoted else "teacher"}


@pytest.mark.parametrize("promoted", [False, True])
async def test_the_client_that_waits_creates_and_streams(
    house: RouterHarness, client: anthropic.AsyncAnthropic, promoted: bool
) -> None:
    if promoted:
        await house.promote()
    text = "student's answer" if promoted else "teacher's answer"
    raw = await client.messages.with_raw_response.create(**ASKED)
    message = await raw.parse()
    assert message.content[0].text == text
    assert message.stop_reason == "end_turn"
    assert raw.headers["x-understudies-served-by"] == ("student" if promoted else "teacher")
    async with client.messages.stream(**ASKED) as stream:
        final = await stream.get_final_message()
    assert final.content[0].text == text  # type: ignore[union-attr]
    if not promoted:
        assert (final.usage.input_tokens, final.usage.output_tokens) == (1000, 100)


async def test_tools_system_blocks_and_pictures_reach_the_teacher_as_they_are(
    house: RouterHarness, client: anthropic.AsyncAnthropic
) -> None:
    house.teacher.tools = (CALLED, {**CALLED, "arguments": {"card": 8}})
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    content: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": PIXEL}},
        {"type": "text", "text": "which card?"},
    ]
    asked = {**ASKED, "system": system, "messages": [{"role": "user", "content": content}], "tools": [TOOL]}
    whole = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    messages: list[Any] = [whole, streamed]
    for message in messages:
        used = [block.input for block in message.content if block.type == "tool_use"]
        assert used == [{"card": 7}, {"card": 8}]
        assert message.stop_reason == "tool_use"
    for body in house.teacher.asked:
        assert (body["system"], body["messages"][0]["content"], body["tools"]) == (system, content, [TOOL])
    events = await house.recorded()
    assert [len(event.response.message.tool_calls or ()) for event in events if event.response] == [2, 2]


async def test_a_conversation_with_tools_goes_on_with_a_student(
    house: RouterHarness, client: anthropic.AsyncAnthropic
) -> None:
    await house.promote()
    said: Any = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "block_card", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "blocked"}]},
    ]
    answer = await client.messages.create(**{**ASKED, "messages": said, "tools": [TOOL]})
    assert answer.content[0].text == "student's answer"
    (request,) = house.student.requests
    assert [message.role for message in request.messages] == ["user", "assistant", "tool"]


async def test_beta_headers_and_the_key_reach_the_teacher(
    house: RouterHarness, client: anthropic.AsyncAnthropic
) -> None:
    await client.beta.messages.create(
        model=MODEL,
        max_tokens=10,
        messages=[{"role": "user", "content": "hi"}],
        betas=["context-1m-2025-08-07"],
        extra_headers=TASK,
    )
    (headers,) = house.teacher.headers
    assert headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert headers["anthropic-version"]
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_tokens_are_counted_by_the_teacher(house: RouterHarness, client: anthropic.AsyncAnthropic) -> None:
    raw = await client.messages.with_raw_response.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": PROMPT}]
    )
    (passed,) = house.teacher.passed
    assert (raw.status_code, passed.path_and_query) == (200, "/v1/messages/count_tokens")
    assert raw.headers["x-understudies-reason"] == "passed_through"
    assert passed.headers["authorization"] == f"Bearer {KEY}"


async def test_models_are_listed_in_anthropics_shape(house: RouterHarness, client: anthropic.AsyncAnthropic) -> None:
    await house.promote()
    listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == ["understudies/triage", "gpt-4o-mini"]
    assert listed[0].type == "model"
    assert (await client.models.retrieve("understudies/triage")).display_name == "understudies/triage"


async def test_a_stream_may_be_left_early(house: RouterHarness, client: anthropic.AsyncAnthropic) -> None:
    house.teacher.hold_after = 5
    async with client.messages.stream(**ASKED) as stream:
        async for _ in stream.text_stream:
            break
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    event = await house.event()
    assert (event.hung_up, event.usage_estimated, event.usage.prompt_tokens) == (True, True, 1000)
