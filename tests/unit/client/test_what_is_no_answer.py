"""What official clients return in place of an answer is recorded as a failure, or not at all."""

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from aiohttp import web
from tests.support.dialects import encode_sse
from tests.support.provider_events import HEAD, USAGE, make_chunk
from tests.support.scripted_upstream import json_reply, scripted_upstream, stream_reply
from tests.support.sightings import corpus_lines, local

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
EMBEDDINGS = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]}


@pytest.mark.parametrize(
    "body",
    [
        json_reply({"detail": "not authorised"}),
        json_reply({"choices": None, "base_resp": {"status_code": 1004}}),
        json_reply({"error": {"message": "quota"}}),
        web.Response(text="<html>Log in</html>", content_type="text/html"),
    ],
)
async def test_a_body_without_an_answer_is_none(body: web.Response, tmp_path: Path) -> None:
    text, kind = body.text, body.content_type
    async with (
        scripted_upstream(lambda _: web.Response(text=text, content_type=kind)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client,
    ):
        with local(tmp_path / "calls.jsonl") as sdk:
            completions = sdk.shadow(client, task="t").chat.completions
            await completions.create(**CHAT)
            await sdk.shadow(client.chat.completions.create, task="t")(**CHAT)
            await completions.with_raw_response.create(**CHAT)
            async with completions.with_streaming_response.create(**CHAT) as response:
                await response.read()
    assert corpus_lines(tmp_path / "calls.jsonl") == []


async def test_embeddings_are_no_answer(tmp_path: Path) -> None:
    async with (
        scripted_upstream(lambda _: json_reply(EMBEDDINGS)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(tmp_path / "calls.jsonl") as sdk:
            shadow = sdk.shadow(client.embeddings.create, task="t")
            assert (await shadow(model="e", input="hi", encoding_format="float")).data
            assert sdk.flush(10)
            assert sdk.losses == {"unreadable": 1}
    assert corpus_lines(tmp_path / "calls.jsonl") == []


@pytest.mark.parametrize(
    ("last", "content", "tokens"),
    [
        ({**HEAD, "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}, "hello", 0),
        ({**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]}, "", 5),
        (make_chunk({"content": "a"}, "stop", x_groq={"usage": USAGE}), "a", 5),
    ],
)
async def test_chunks_of_other_forms_are_read(last: dict[str, Any], content: str, tokens: int, tmp_path: Path) -> None:
    first = make_chunk({"role": "assistant", **({} if content else {"content": ""})})
    async with (
        scripted_upstream(lambda _: stream_reply(encode_sse(first, last, "[DONE]"))) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(tmp_path / "calls.jsonl") as sdk:
            async for _ in await sdk.shadow(client, task="t").chat.completions.create(**CHAT, stream=True):
                pass
    (line,) = corpus_lines(tmp_path / "calls.jsonl")
    assert (line["messages"][-1]["content"], line["usage"]["prompt_tokens"]) == (content, tokens)


async def test_the_calls_of_a_tool_runner_are_recorded(tmp_path: Path) -> None:
    called = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"what": "card"}}

    def reply(raw: bytes) -> web.Response:
        is_result = "tool_result" in raw.decode()
        content = [{"type": "text", "text": "blocked"}] if is_result else [called]
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": content}
        reason = "end_turn" if is_result else "tool_use"
        return json_reply({**message, "stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 2}})

    @anthropic.beta_async_tool
    async def look(what: str) -> str:
        """Look something up."""
        return f"{what}: found"

    async with (
        scripted_upstream(reply) as url,
        anthropic.AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key="k") as client,
    ):
        with local(tmp_path / "calls.jsonl") as sdk:
            shadow = sdk.shadow(client, task="t")
            runner = shadow.beta.messages.tool_runner(**CHAT, max_tokens=9, tools=[look])
            assert (await runner.until_done()).content[0].text == "blocked"
    lines = corpus_lines(tmp_path / "calls.jsonl")
    assert [line["messages"][-1].get("content") for line in lines] == [None, "blocked"]
    assert json.loads(lines[0]["messages"][-1]["tool_calls"][0]["function"]["arguments"]) == {"what": "card"}


@pytest.mark.parametrize(
    ("piece", "content"),
    [
        (b'{"choices":[{"index":0,"delta":{"content":"\\ud83d\\ude00"},"logprobs":{"p":NaN}}]}', "a\N{GRINNING FACE}b"),
        (b'{"choices":[{"index":0,"delta":{"content":"not"}}]', None),
    ],
)
async def test_a_damaged_event_of_a_stream_is_told_from_an_odd_one(
    piece: bytes, content: str | None, tmp_path: Path
) -> None:
    first, last = encode_sse(make_chunk({"content": "a"})), encode_sse(make_chunk({"content": "b"}, "stop"), "[DONE]")
    async with (
        scripted_upstream(lambda _: stream_reply(first + b"data: " + piece + b"\n\n" + last)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(tmp_path / "calls.jsonl") as sdk:
            opened = sdk.shadow(client, task="t").chat.completions.with_streaming_response.create(**CHAT, stream=True)
            async with opened as response:
                await response.read()
    assert [line["messages"][-1]["content"] for line in corpus_lines(tmp_path / "calls.jsonl")] == [content] * bool(
        content
    )
