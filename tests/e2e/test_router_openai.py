"""OpenAI's own client before the router, sync and async, with nothing changed but its base URL."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.support.router_harness import KEY, PROMPT, TASK, BuildHarness, RouterHarness, router_harnesses

from understudies.students.base import text_answer

TOOL: Any = {
    "type": "function",
    "function": {"name": "block_card", "parameters": {"type": "object", "properties": {"card": {"type": "integer"}}}},
}
FLAT_TOOL: Any = {"type": "function", **TOOL["function"], "strict": False}
CALLED = {"name": "block_card", "arguments": {"card": 7}}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
ASKED: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}], "extra_headers": TASK}
# Another text: the third near copy of a day would wait for the teacher to confirm what the student says.
OTHER_PROMPT = "When will the parcel arrive?"
ASKED_TOO: Any = {"model": "gpt-4o-mini", "input": OTHER_PROMPT, "store": False, "extra_headers": TASK}


class Label(BaseModel):
    """What the answer is parsed into."""

    label: str
    urgent: bool


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.fixture
async def house(build: BuildHarness) -> RouterHarness:
    return await build()


@pytest.fixture
async def client(house: RouterHarness) -> AsyncIterator[openai.AsyncOpenAI]:
    async with house.openai() as client:
        yield client


@pytest.mark.parametrize("promoted", [False, True])
async def test_the_client_that_blocks_completes_and_streams(house: RouterHarness, promoted: bool) -> None:
    if promoted:
        await house.promote()

    def asked() -> tuple[str | None, str, str, str]:
        with house.openai_sync() as client:
            whole = client.chat.completions.create(**ASKED)
            stream = client.chat.completions.create(**ASKED, stream=True)
            pieces = [choice.delta.content or "" for chunk in stream for choice in chunk.choices]
            response = client.responses.create(**ASKED_TOO)
            with client.responses.stream(**ASKED_TOO) as events:
                streamed = events.get_final_response()
            return whole.choices[0].message.content, "".join(pieces), response.output_text, streamed.output_text

    texts = await asyncio.to_thread(asked)
    assert texts == ("student's answer" if promoted else "teacher's answer",) * 4
    events = await house.recorded()
    assert [(event.api, event.streamed) for event in events] == [
        ("chat", False),
        ("chat", True),
        ("responses", False),
        ("responses", True),
    ]
    assert {event.served_by for event in events} == {"student" if promoted else "teacher"}


@pytest.mark.parametrize("promoted", [False, True])
async def test_structured_output_is_parsed(house: RouterHarness, client: openai.AsyncOpenAI, promoted: bool) -> None:
    house.teacher.text = '{"label":"fraud","urgent":true}'
    if promoted:
        house.student.reply = text_answer(house.teacher.text, 0.95)
        await house.promote()
    completion = await client.chat.completions.parse(**ASKED, response_format=Label)
    assert completion.choices[0].message.parsed == Label(label="fraud", urgent=True)
    response = await client.responses.parse(**ASKED_TOO, text_format=Label)
    assert response.output_parsed == Label(label="fraud", urgent=True)
    async with client.chat.completions.stream(**ASKED, response_format=Label) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.parsed == Label(label="fraud", urgent=True)
    events = await house.recorded()
    assert [event.served_by for event in events] == ["student" if promoted else "teacher"] * 3
    if not promoted:
        assert house.teacher.asked[0]["response_format"]["type"] == "json_schema"


async def test_a_student_whose_answer_has_another_form_does_not_serve(
    house: RouterHarness, client: openai.AsyncOpenAI
) -> None:
    house.teacher.text = '{"label":"fraud","urgent":true}'
    await house.promote()
    completion = await client.chat.completions.parse(**ASKED, response_format=Label)
    assert completion.choices[0].message.parsed == Label(label="fraud", urgent=True)
    (event,) = await house.recorded()
    assert event.route is not None
    assert (event.served_by, event.route.reason) == ("teacher", "student_error")


async def test_tools_are_called_whole_and_streamed(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    house.teacher.tools = (CALLED, {**CALLED, "arguments": {"card": 8}})
    whole = await client.chat.completions.create(**ASKED, tools=[TOOL])
    async with client.chat.completions.stream(**ASKED, tools=[TOOL]) as stream:
        streamed = await stream.get_final_completion()
    for completion in (whole, streamed):
        calls = completion.choices[0].message.tool_calls or []
        assert [json.loads(call.function.arguments) for call in calls] == [{"card": 7}, {"card": 8}]
        assert completion.choices[0].finish_reason == "tool_calls"
    response = await client.responses.create(**ASKED_TOO, tools=[FLAT_TOOL])
    async with client.responses.stream(**ASKED_TOO, tools=[FLAT_TOOL]) as events:
        streamed_too = await events.get_final_response()
    answers: list[Any] = [response, streamed_too]
    for answered in answers:
        called = [item for item in answered.output if item.type == "function_call"]
        assert [json.loads(item.arguments) for item in called] == [{"card": 7}, {"card": 8}]
    recorded = await house.recorded()
    assert [len(event.response.message.tool_calls or ()) for event in recorded if event.response] == [2] * 4


async def test_a_conversation_with_tools_goes_on(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    call = {"id": "call_123456789012", "type": "function", "function": {"name": "block_card", "arguments": "{}"}}
    said: Any = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "blocked"},
    ]
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=said, tools=[TOOL], extra_headers=TASK)
    assert answer.choices[0].message.content == "teacher's answer"
    assert house.teacher.asked[0]["messages"] == said


@pytest.mark.parametrize(
    "wanted", [{"logprobs": True, "top_logprobs": 2}, {"n": 2}], ids=["log-probabilities", "two choices"]
)
async def test_what_only_the_teacher_has_is_the_teachers(
    house: RouterHarness, client: openai.AsyncOpenAI, wanted: dict[str, Any]
) -> None:
    await house.promote()
    raw = await client.chat.completions.with_raw_response.create(**ASKED, **wanted)
    assert raw.headers["x-understudies-served-by"] == "teacher"
    assert raw.headers["x-understudies-reason"] == "unsuitable"
    assert {name: house.teacher.asked[0][name] for name in wanted} == wanted


async def test_pictures_reach_the_teacher_as_they_are(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    parts: Any = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": parts}], extra_headers=TASK
    )
    assert house.teacher.asked[0]["messages"][0]["content"] == parts
    await client.responses.create(
        model="gpt-4o-mini",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "?"},
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                ],
            }
        ],
        store=False,
        extra_headers=TASK,
    )
    assert house.teacher.asked[1]["input"][0]["content"][1]["image_url"] == PIXEL


async def test_the_headers_say_who_answered_and_which_event_records_it(
    house: RouterHarness, client: openai.AsyncOpenAI
) -> None:
    raw = await client.chat.completions.with_raw_response.create(**ASKED)
    (event,) = await house.recorded()
    told = {name: value for name, value in raw.headers.items() if name.startswith("x-understudies-")}
    assert told == {
        "x-understudies-task": "triage",
        "x-understudies-invocation": event.id,
        "x-understudies-served-by": "teacher",
        "x-understudies-reason": "no_student",
        "x-understudies-teacher": "teacher",
    }
    assert raw.parse()._request_id == "req-1"


async def test_embeddings_pass_through(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="text-embedding-3-small", input=["one", "three"])
    assert [len(item.embedding) for item in answer.data] == [2, 2]
    assert house.teacher.passed[0].path_and_query == "/v1/embeddings"
    assert house.teacher.passed[0].headers["authorization"] == f"Bearer {KEY}"
    assert await house.recorded() == []


async def test_models_are_listed_and_found(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    await house.promote()
    assert [model.id async for model in client.models.list()] == ["understudies/triage", "gpt-4o-mini"]
    assert (await client.models.retrieve("understudies/triage")).owned_by == "understudies"
    with pytest.raises(openai.NotFoundError, match="no student serves"):
        await client.models.retrieve("understudies/unknown")


async def test_a_file_is_passed_on_as_it_is_uploaded(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    content = b'{"custom_id": "1"}\n' * 50_000
    raw = await client.files.with_raw_response.create(file=("batch.jsonl", content), purpose="batch")
    (passed,) = house.teacher.passed
    assert (raw.status_code, passed.path_and_query) == (200, "/v1/files")
    assert passed.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert content in passed.body
    assert content in raw.content


async def test_a_stream_may_be_left_early(house: RouterHarness, client: openai.AsyncOpenAI) -> None:
    house.teacher.hold_after = 2
    stream = await client.chat.completions.create(**ASKED, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    event = await house.event()
    assert (event.hung_up, event.usage_estimated) == (True, True)
