"""The real `openai` client against a server that speaks its protocol."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from tests.support.openai_server import TOOL_CALL, OpenAIServer, run_openai_server
from tests.support.sightings import corpus_lines

from understudies.client import Understudies, per_million

ASKED: list[Any] = [{"role": "system", "content": "Shout."}, {"role": "user", "content": "abc"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with run_openai_server() as running:
        yield running


class Sdk:
    """The client under test and what it recorded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.client = Understudies(corpus=path, price=per_million(2, 10, cached=1))

    def lines(self) -> list[dict[str, Any]]:
        assert self.client.flush(10)
        assert self.client.dropped == 0
        return corpus_lines(self._path)


@pytest.fixture
async def sdk(tmp_path: Path) -> AsyncIterator[Sdk]:
    made = Sdk(tmp_path / "corpus.jsonl")
    async with made.client:
        yield made


@pytest.fixture
async def ai(server: OpenAIServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


async def test_a_completion(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create, "shout")
    answer = await create(model="m", messages=ASKED, temperature=0, max_tokens=50, timeout=30)
    assert type(answer).__name__ == "ChatCompletion"
    assert answer.choices[0].message.content == "ABC"
    (line,) = sdk.lines()
    assert line["messages"] == [*ASKED, {"role": "assistant", "content": "ABC"}]
    assert line["model"] == "m-2026"
    assert (line["temperature"], line["max_tokens"]) == (0, 50)
    assert "timeout" not in line
    # 8 fresh, 4 cached and 5 completion tokens
    assert line["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "cost": 0.00007,
    }


async def test_a_call_of_a_tool_and_its_result(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    answer = await create(model="m", messages=ASKED, tools=TOOLS)
    message = answer.choices[0].message
    await create(
        model="m", messages=[*ASKED, cast(Any, message), {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
    )
    first, second = sdk.lines()
    assert first["tools"] == TOOLS
    assert first["messages"][-1]["tool_calls"] == [TOOL_CALL]
    assert second["messages"][2]["tool_calls"] == [TOOL_CALL]
    assert second["messages"][3] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}


async def test_a_stream(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    asked: dict[str, Any] = {"model": "m", "messages": ASKED, "stream": True, "stream_options": {"include_usage": True}}
    bare = [chunk async for chunk in await ai.chat.completions.create(**asked)]
    stream = await create(**asked)
    assert isinstance(stream, openai.AsyncStream)
    assert stream.response.status_code == 200
    assert [chunk async for chunk in stream] == bare
    (line,) = sdk.lines()
    assert line["messages"][-1] == {"role": "assistant", "content": "ABC"}
    assert line["usage"]["completion_tokens"] == 5
    assert line["model"] == "m-2026"
    assert "stream" not in line


async def test_a_streamed_call_of_a_tool(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    async with await create(model="m", messages=ASKED, tools=TOOLS, stream=True) as stream:
        assert len([chunk async for chunk in stream]) > 3
    (line,) = sdk.lines()
    assert line["messages"][-1] == {"role": "assistant", "tool_calls": [TOOL_CALL]}


async def test_half_a_stream_is_no_answer(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    async with await create(model="m", messages=ASKED, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content == "B":
                break
    assert sdk.lines() == []


async def test_a_stream_left_after_its_last_word_is_an_answer(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    async with await create(model="m", messages=ASKED, stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert sdk.lines()[0]["messages"][-1]["content"] == "ABC"


async def test_a_refused_call_raises_as_before(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    with pytest.raises(openai.BadRequestError, match="no such thing"):
        await create(model="m", messages=[{"role": "user", "content": "fail"}])
    assert sdk.lines() == []


async def test_a_stream_that_breaks_raises_as_before(ai: openai.AsyncOpenAI, sdk: Sdk) -> None:
    create = sdk.client.shadow(ai.chat.completions.create)
    stream = await create(model="m", messages=[{"role": "user", "content": "break"}], stream=True)
    with pytest.raises(openai.APIConnectionError):
        assert [chunk async for chunk in stream] == []
    assert sdk.lines() == []


async def test_the_sync_client(server: OpenAIServer, sdk: Sdk) -> None:
    def talk() -> list[str | None]:
        with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
            create = sdk.client.shadow(client.chat.completions.create)
            whole = create(model="m", messages=ASKED).choices[0].message.content
            with create(model="m", messages=ASKED, stream=True) as stream:
                assert isinstance(stream, openai.Stream)
                return [whole, "".join(chunk.choices[0].delta.content or "" for chunk in stream)]

    assert await asyncio.to_thread(talk) == ["ABC", "ABC"]
    assert [line["messages"][-1]["content"] for line in sdk.lines()] == ["ABC", "ABC"]
