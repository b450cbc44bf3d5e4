"""A call of a shadowed client that passes the router is recorded there, and by nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.router_harness import BuildHarness, RouterHarness, router_harnesses
from tests.support.sightings import corpus_lines, local

Call = Callable[[Any], Awaitable[object]]
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "my card is gone"}]}
CLAUDE: dict[str, Any] = {**ASKED, "model": "claude-sonnet", "max_tokens": 99}


@pytest.fixture
async def house() -> AsyncIterator[RouterHarness]:
    async with router_harnesses() as built:
        build: BuildHarness = built
        yield await build()


async def whole(client: Any) -> object:
    return await client.chat.completions.create(**ASKED)


async def raw(client: Any) -> object:
    return (await client.chat.completions.with_raw_response.create(**ASKED)).parse()


async def http(client: Any) -> object:
    async with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        return await response.parse()


async def streamed(client: Any) -> object:
    return [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]


async def helper(client: Any) -> object:
    async with client.chat.completions.stream(**ASKED) as stream:
        return await stream.get_final_completion()


async def responses(client: Any) -> object:
    return await client.responses.create(model="gpt-4o-mini", input="hi")


async def claude(client: Any) -> object:
    return await client.messages.create(**CLAUDE)


async def claude_stream(client: Any) -> object:
    async with client.messages.stream(**CLAUDE) as stream:
        return await stream.get_final_text()


@pytest.mark.parametrize("call", [whole, raw, http, streamed, helper, responses, claude, claude_stream])
async def test_a_call_that_passes_the_router_is_recorded_once(house: RouterHarness, tmp_path: Path, call: Call) -> None:
    corpus = tmp_path / "calls.jsonl"
    async with house.anthropic() if call in (claude, claude_stream) else house.openai() as client:
        with local(corpus) as sdk:
            assert await call(sdk.shadow(client, task="triage"))
            assert sdk.recorded_by_router == 1
            assert sdk.losses == {}
    assert len(await house.recorded()) == 1
    assert corpus_lines(corpus) == []


async def test_a_method_alone_and_clients_side_by_side_are_told_apart(house: RouterHarness, tmp_path: Path) -> None:
    corpus = tmp_path / "calls.jsonl"
    async with (
        house.openai() as routed,
        openai.AsyncOpenAI(base_url=house.teacher.url, api_key="k") as direct,
    ):
        with local(corpus) as sdk:
            routed_create = sdk.shadow(routed.chat.completions.create, task="routed")
            direct_create = sdk.shadow(direct.chat.completions.create, task="direct")
            for _ in range(2):
                await routed_create(**ASKED)
                await direct_create(**ASKED)
            assert sdk.recorded_by_router == 2
    assert [line["task"] for line in corpus_lines(corpus)] == ["direct", "direct"]
    assert len(await house.recorded()) == 2


async def test_what_the_router_passes_on_unrecorded_is_the_record_of_the_sdk(
    house: RouterHarness, tmp_path: Path
) -> None:
    async with house.openai() as client:
        with local(tmp_path / "calls.jsonl") as sdk:
            await sdk.shadow(client, task="triage").chat.completions.create(**{**ASKED, "messages": "none"})
            assert sdk.recorded_by_router == 0
    assert await house.recorded() == []
