"""All methods of the official clients that call a model are recorded as what they are, and answer as before."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from aiohttp import web
from pydantic import BaseModel, ValidationError
from tests.support.dialects import encode_sse
from tests.support.fake_teacher import FakeTeacher
from tests.support.provider_events import make_chunk
from tests.support.scripted_upstream import json_reply, scripted_upstream, stream_reply
from tests.support.sightings import corpus_lines, invocations, local, on_the_bus
from tests.support.tansu_broker import TansuBroker

from understudies.client import Understudies
from understudies.events import usd

ASKED: list[Any] = [{"role": "user", "content": "my card is gone"}]
TEXT = "Your card is blocked."


class Label(BaseModel):
    label: str


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher(TEXT) as fake:
        yield fake


@pytest.fixture
async def tansu() -> AsyncIterator[TansuBroker]:
    async with TansuBroker() as server:
        yield server


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@dataclass
class Clients:
    """The official clients, of one teacher."""

    chat: openai.OpenAI
    chat_async: openai.AsyncOpenAI
    messages: anthropic.Anthropic
    messages_async: anthropic.AsyncAnthropic


@pytest.fixture
async def clients(teacher: FakeTeacher) -> AsyncIterator[Clients]:
    told: dict[str, Any] = {"api_key": "k", "max_retries": 0}
    host = teacher.url.removesuffix("/v1")
    async with (
        openai.AsyncOpenAI(base_url=teacher.url, **told) as chat,
        anthropic.AsyncAnthropic(base_url=host, **told) as messages,
    ):
        with (
            openai.OpenAI(base_url=teacher.url, **told) as chat_sync,
            anthropic.Anthropic(base_url=host, **told) as messages_sync,
        ):
            yield Clients(chat_sync, chat, messages_sync, messages)


CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": ASKED}
RESPONSES: dict[str, Any] = {"model": "gpt-4o-mini", "input": ASKED[0]["content"]}
MESSAGES: dict[str, Any] = {"model": "claude-sonnet", "max_tokens": 99, "messages": ASKED}


def _chat_create(client: Any) -> Any:
    return client.chat.completions.create(**CHAT).choices[0].message.content


def _chat_raw(client: Any) -> Any:
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.headers["x-request-id"]
    return raw.parse().choices[0].message.content


def _chat_raw_stream(client: Any) -> Any:
    stream = client.chat.completions.with_raw_response.create(
        **CHAT, stream=True, stream_options={"include_usage": True}
    ).parse()
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def _chat_stream(client: Any) -> Any:
    with client.chat.completions.stream(**CHAT, stream_options={"include_usage": True}) as stream:
        for event in stream:
            assert event.type
        return stream.get_final_completion().choices[0].message.content


def _responses_create(client: Any) -> Any:
    return client.responses.create(**RESPONSES).output_text


def _responses_raw(client: Any) -> Any:
    return client.responses.with_raw_response.create(**RESPONSES).parse().output_text


def _responses_streamed(client: Any) -> Any:
    events = list(client.responses.create(**RESPONSES, stream=True))
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def _responses_stream(client: Any) -> Any:
    with client.responses.stream(**RESPONSES) as stream:
        return stream.get_final_response().output_text


def _messages_create(client: Any) -> Any:
    return client.messages.create(**MESSAGES).content[0].text


def _messages_raw(client: Any) -> Any:
    return client.messages.with_raw_response.create(**MESSAGES).parse().content[0].text


def _messages_raw_stream(client: Any) -> Any:
    stream = client.messages.with_raw_response.create(**MESSAGES, stream=True).parse()
    return "".join(event.delta.text for event in stream if event.type == "content_block_delta")


def _messages_stream(client: Any) -> Any:
    with client.messages.stream(**MESSAGES) as stream:
        return "".join(stream.text_stream)


def _messages_final(client: Any) -> Any:
    with client.messages.stream(**MESSAGES) as stream:
        return stream.get_final_text()


def _chat_http(client: Any) -> Any:
    with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        assert response.headers["x-request-id"]
        return response.parse().choices[0].message.content


def _chat_http_json(client: Any) -> Any:
    with client.with_streaming_response.chat.completions.create(**CHAT) as response:
        assert response.json() == response.json()
        return json.loads(response.text())["choices"][0]["message"]["content"]


def _chat_http_stream(client: Any) -> Any:
    streamed = client.chat.completions.with_streaming_response
    with streamed.create(**CHAT, stream=True, stream_options={"include_usage": True}) as response:
        return "".join(chunk.choices[0].delta.content or "" for chunk in response.parse() if chunk.choices)


def _chat_http_lines(client: Any) -> Any:
    streamed = client.chat.completions.with_streaming_response
    with streamed.create(**CHAT, stream=True, stream_options={"include_usage": True}) as response:
        data = [line[5:] for line in response.iter_lines() if line.startswith("data:") and "[DONE]" not in line]
    deltas = [choice["delta"] for chunk in map(json.loads, data) for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def _responses_http(client: Any) -> Any:
    with client.responses.with_streaming_response.create(**RESPONSES) as response:
        return response.parse().output_text


def _chat_raw_whole(client: Any) -> Any:
    return client.with_raw_response.chat.completions.create(**CHAT).parse().choices[0].message.content


def _messages_http(client: Any) -> Any:
    with client.messages.with_streaming_response.create(**MESSAGES) as response:
        return json.loads(b"".join(response.iter_bytes(7)))["content"][0]["text"]


def _messages_http_stream(client: Any) -> Any:
    with client.messages.with_streaming_response.create(**MESSAGES, stream=True) as response:
        return "".join(event.delta.text for event in response.parse() if event.type == "content_block_delta")


OPENAI = (
    *(_chat_http, _chat_http_json, _chat_http_stream, _chat_http_lines, _responses_http, _chat_raw_whole),
    *(_chat_create, _chat_raw, _chat_raw_stream, _chat_stream),
    *(_responses_create, _responses_raw, _responses_streamed, _responses_stream),
)
ANTHROPIC = (
    *(
        _messages_http,
        _messages_http_stream,
        _messages_create,
        _messages_raw,
        _messages_raw_stream,
        _messages_stream,
        _messages_final,
    ),
)


def check(line: dict[str, Any], asked: str = "my card is gone", answer: str = TEXT) -> None:
    assert [message["content"] for message in line["messages"]] == [asked, answer]
    assert (line["usage"]["prompt_tokens"], line["usage"]["completion_tokens"]) == (1000, 100)
    assert line["model"].startswith(("gpt-4o-mini-2", "claude-sonnet-4-5-2"))


@pytest.mark.parametrize("call", [*OPENAI, *ANTHROPIC])
async def test_a_client_is_shadowed_as_a_whole(
    teacher: FakeTeacher, clients: Clients, corpus: Path, call: Callable[[Any], str]
) -> None:
    client = clients.chat if call in OPENAI else clients.messages
    with local(corpus) as sdk:
        shadow = sdk.shadow(client, task="triage")
        assert isinstance(shadow, type(client))
        assert await asyncio.to_thread(call, shadow) == TEXT
        assert await asyncio.to_thread(call, shadow.with_options(timeout=9)) == TEXT
    lines = corpus_lines(corpus)
    assert [line["task"] for line in lines] == ["triage", "triage"]
    for line in lines:
        check(line)


async def test_methods_are_shadowed_one_by_one_as_well(teacher: FakeTeacher, clients: Clients, corpus: Path) -> None:
    chat, messages = clients.chat, clients.messages
    with local(corpus) as sdk:

        def ask() -> None:
            with sdk.shadow(messages.messages.stream, task="messages")(**MESSAGES) as stream:
                assert "".join(stream.text_stream) == TEXT
            with sdk.shadow(chat.chat.completions.stream, task="chat")(
                **CHAT, stream_options={"include_usage": True}
            ) as events:
                assert "content.done" in [event.type for event in events]
            with sdk.shadow(chat.responses.stream, task="responses")(**RESPONSES) as events:
                assert [event.type for event in events][-1] == "response.completed"
            raw = sdk.shadow(messages.messages.with_raw_response.create, task="raw")(**MESSAGES)
            assert raw.parse().content[0].text == TEXT

        await asyncio.to_thread(ask)
    lines = corpus_lines(corpus)
    assert [line["task"] for line in lines] == ["messages", "chat", "responses", "raw"]
    for line in lines:
        check(line)


async def _stream_messages(client: anthropic.AsyncAnthropic) -> str:
    async with client.messages.stream(**MESSAGES) as stream:
        return "".join([text async for text in stream.text_stream])


async def _stream_chat(client: openai.AsyncOpenAI) -> str:
    async with client.chat.completions.stream(**CHAT, stream_options={"include_usage": True}) as stream:
        return (await stream.get_final_completion()).choices[0].message.content or ""


async def _stream_responses(client: openai.AsyncOpenAI) -> str:
    async with client.responses.stream(**RESPONSES) as stream:
        return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])


async def _raw_messages(client: anthropic.AsyncAnthropic) -> str:
    raw = await client.messages.with_raw_response.create(**MESSAGES)
    block = (await raw.parse()).content[0]
    return block.text if block.type == "text" else ""


async def _raw_chat_stream(client: openai.AsyncOpenAI) -> str:
    options: Any = {"stream_options": {"include_usage": True}}
    raw = await client.chat.completions.with_raw_response.create(**CHAT, stream=True, **options)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in raw.parse() if chunk.choices])


async def _raw_messages_stream(client: anthropic.AsyncAnthropic) -> str:
    raw: Any = await client.messages.with_raw_response.create(**MESSAGES, stream=True)
    return "".join([event.delta.text async for event in await raw.parse() if event.type == "content_block_delta"])


async def _http_messages(client: anthropic.AsyncAnthropic) -> str:
    async with client.messages.with_streaming_response.create(**MESSAGES) as response:
        block = (await response.parse()).content[0]
    return block.text if block.type == "text" else ""


async def _http_messages_stream(client: anthropic.AsyncAnthropic) -> str:
    asked: Any = {**MESSAGES, "stream": True}
    async with client.messages.with_streaming_response.create(**asked) as response:
        events: Any = await response.parse()
        return "".join([event.delta.text async for event in events if event.type == "content_block_delta"])


async def _http_chat(client: openai.AsyncOpenAI) -> str:
    async with client.with_streaming_response.chat.completions.create(**CHAT) as response:
        await response.read()
        return str((await response.json())["choices"][0]["message"]["content"])


async def _http_chat_stream(client: openai.AsyncOpenAI) -> str:
    asked: Any = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    async with client.chat.completions.with_streaming_response.create(**asked) as response:
        chunks: Any = await response.parse()
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


@pytest.mark.parametrize(
    "call", [_stream_messages, _raw_messages, _raw_messages_stream, _http_messages, _http_messages_stream]
)
async def test_the_async_client_of_anthropic(
    teacher: FakeTeacher, clients: Clients, corpus: Path, call: Callable[[Any], Awaitable[str]]
) -> None:
    with local(corpus) as sdk:
        assert await call(sdk.shadow(clients.messages_async, task="triage")) == TEXT
    (line,) = corpus_lines(corpus)
    check(line)


@pytest.mark.parametrize("call", [_stream_chat, _stream_responses, _raw_chat_stream, _http_chat, _http_chat_stream])
async def test_the_async_client_of_openai(
    teacher: FakeTeacher, clients: Clients, corpus: Path, call: Callable[[Any], Awaitable[str]]
) -> None:
    with local(corpus) as sdk:
        assert await call(sdk.shadow(clients.chat_async, task="triage")) == TEXT
    (line,) = corpus_lines(corpus)
    check(line)


async def test_parsed_answers_are_their_text_and_their_schema_is_asked_for(
    teacher: FakeTeacher, clients: Clients, corpus: Path
) -> None:
    teacher.text = '{"label":"shipping"}'
    chat, messages = clients.chat_async, clients.messages_async
    with local(corpus) as sdk:
        shadow, claude = sdk.shadow(chat, task="t"), sdk.shadow(messages, task="t")
        parsed = await shadow.chat.completions.parse(**CHAT, response_format=Label)
        assert parsed.choices[0].message.parsed == Label(label="shipping")
        assert (await shadow.responses.parse(**RESPONSES, text_format=Label)).output_parsed == Label(label="shipping")
        assert (await claude.messages.parse(**MESSAGES, output_format=Label)).parsed_output == Label(label="shipping")
    for line in corpus_lines(corpus):
        check(line, answer=teacher.text)
        assert line["response_format"]["json_schema"]["schema"]["properties"]["label"]["type"] == "string"


async def test_arguments_that_are_left_out_are_not_recorded(
    teacher: FakeTeacher, clients: Clients, corpus: Path
) -> None:
    none: dict[str, Any] = {"tools": openai.omit, "temperature": openai.omit}
    with local(corpus) as sdk:
        shadow: Any = sdk.shadow(clients.chat_async, task="t")
        claude: Any = sdk.shadow(clients.messages_async, task="t")
        await shadow.responses.create(**RESPONSES, **none, text=openai.omit, instructions=openai.NOT_GIVEN)
        await shadow.chat.completions.create(**CHAT, **none, response_format=openai.omit)
        await claude.messages.create(**MESSAGES, system=anthropic.omit, tools=anthropic.NOT_GIVEN)
        assert sdk.flush(10)
        assert sdk.losses == {}
    for line in corpus_lines(corpus):
        check(line)
        assert not line.keys() & {"tools", "temperature", "response_format", "text"}


async def test_a_stream_that_is_left_early_is_no_answer(teacher: FakeTeacher, clients: Clients, corpus: Path) -> None:
    with local(corpus) as sdk:
        async with sdk.shadow(clients.messages_async, task="t").messages.stream(**MESSAGES) as stream:
            async for _ in stream.text_stream:
                break
    assert corpus_lines(corpus) == []


async def _leave_http_early(client: Any) -> None:
    async with client.chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
        async for _ in response.iter_lines():
            break


async def _never_read_http(client: Any) -> None:
    async with client.chat.completions.with_streaming_response.create(**CHAT) as response:
        assert response.status_code == 200


@pytest.mark.parametrize("call", [_leave_http_early, _never_read_http])
async def test_a_body_that_is_not_read_to_its_end_is_no_answer(
    clients: Clients, tansu: TansuBroker, call: Callable[[Any], Awaitable[None]]
) -> None:
    async with on_the_bus(tansu) as sdk:
        await call(sdk.shadow(clients.chat_async, task="t"))
        assert await asyncio.to_thread(sdk.flush, 10)
        assert sdk.losses == {}
        (event,) = await invocations(tansu, 1)
    assert event.response is None
    assert event.error is not None
    assert event.error.startswith("abandoned: the caller stopped reading")


async def test_a_stream_without_its_end_is_no_answer(corpus: Path) -> None:
    stream = encode_sse(make_chunk({"role": "assistant", "content": "Your card is"}))
    async with (
        scripted_upstream(lambda _: stream_reply(stream)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(corpus) as sdk:
            shadow = sdk.shadow(client, task="t")
            async for _ in await shadow.chat.completions.create(**CHAT, stream=True):
                pass
            async with shadow.chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
                assert await response.read()
    assert corpus_lines(corpus) == []


async def test_a_stream_that_cannot_be_opened_raises_as_before(
    teacher: FakeTeacher, clients: Clients, corpus: Path
) -> None:
    teacher.mood = "refuse"
    with local(corpus) as sdk:
        shadow = sdk.shadow(clients.messages_async, task="t")
        with pytest.raises(anthropic.BadRequestError):
            async with shadow.messages.stream(**MESSAGES):
                pass
        with pytest.raises(openai.BadRequestError):
            await sdk.shadow(clients.chat_async).chat.completions.with_raw_response.create(**CHAT)
        with pytest.raises(openai.BadRequestError):
            async with sdk.shadow(clients.chat_async).chat.completions.with_streaming_response.create(**CHAT):
                pass
        assert sdk.flush(10)
        assert sdk.losses == {}
    assert corpus_lines(corpus) == []


async def test_what_is_no_call_of_a_model_is_left_alone(teacher: FakeTeacher, clients: Clients, corpus: Path) -> None:
    with local(corpus) as sdk:
        client = clients.chat_async
        shadow = sdk.shadow(client)
        assert [model.id async for model in await shadow.models.list()] == teacher.models
        assert (await shadow.embeddings.create(model="e", input="x", encoding_format="float")).data[0].embedding
        assert (shadow.api_key, shadow.base_url) == ("k", client.base_url)
        async with sdk.shadow(client) as entered:
            assert isinstance(entered, openai.AsyncOpenAI)
    assert corpus_lines(corpus) == []


async def test_what_is_set_on_a_shadow_is_set_on_its_client(
    teacher: FakeTeacher, clients: Clients, corpus: Path
) -> None:
    with local(corpus) as sdk:
        shadow = sdk.shadow(clients.chat, task="t")
        shadow.api_key = "another"
        assert clients.chat.api_key == "another"
        alike = copy.copy(shadow)
        await asyncio.to_thread(lambda: alike.chat.completions.create(model="m", messages=ASKED))
        assert sdk.flush(10)
        del shadow.api_key
        assert not hasattr(clients.chat, "api_key")
        clients.chat.api_key = "k"
    assert teacher.headers[-1]["authorization"] == "Bearer another"
    assert len(corpus_lines(corpus)) == 1


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
async def test_a_stored_message_is_no_answer(corpus: Path) -> None:
    content = [{"type": "text", "text": {"value": "hello", "annotations": []}}]
    stored = {"id": "msg_1", "object": "thread.message", "role": "user", "content": content}
    async with (
        scripted_upstream(lambda _: json_reply(stored)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(corpus) as sdk:
            messages = sdk.shadow(client).beta.threads.messages
            assert (await messages.create("thread_1", role="user", content="hello")).id == "msg_1"
            assert sdk.flush(10)
            assert sdk.losses == {}
    assert corpus_lines(corpus) == []


async def test_the_words_of_a_refusal_are_kept(corpus: Path) -> None:
    pieces = (make_chunk({"role": "assistant", "refusal": ""}), make_chunk({"refusal": "I cannot"}))
    stream = encode_sse(*pieces, make_chunk({"refusal": " help."}, "stop"), "[DONE]")
    message = {"role": "assistant", "content": None, "refusal": "I cannot help."}
    whole = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    def reply(raw: bytes) -> Any:
        return stream_reply(stream) if json.loads(raw).get("stream") else json_reply(whole)

    async with scripted_upstream(reply) as url, openai.AsyncOpenAI(base_url=url, api_key="k") as client:
        with local(corpus) as sdk:
            shadow = sdk.shadow(client, task="t")
            await shadow.chat.completions.create(**CHAT)
            async for _ in await shadow.chat.completions.create(**CHAT, stream=True):
                pass
            async with shadow.chat.completions.stream(**CHAT) as events:
                await events.until_done()
    lines = corpus_lines(corpus)
    assert len(lines) == 3
    refusal = [{"type": "refusal", "refusal": "I cannot help."}]
    assert [line["messages"][-1]["content"] for line in lines] == [refusal] * 3


def test_a_client_that_is_garbage_is_told_once(tmp_path: Path) -> None:
    with Understudies(corpus=tmp_path / "c.jsonl") as sdk, pytest.raises(TypeError, match="a teacher is called"):
        sdk.shadow(object())


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that is no JSON or was cut, as the model's name says, in the form of each API."""
    text, is_cut = ('{"label":', True) if body["model"] == "cut" else ("no label", False)
    if "input" in body:
        parts = [{"type": "output_text", "text": text, "annotations": []}]
        said = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": parts}
        about = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "tools": []}
        counts = {"input_tokens": 20, "output_tokens": 2, "total_tokens": 22}
        return {**about, "output": [said], "usage": counts, "parallel_tool_calls": True, "tool_choice": "auto"}
    if "output_config" in body or "output_format" in body:
        blocks = [{"type": "text", "text": text}]
        about = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
        counts = {"input_tokens": 20, "output_tokens": 2}
        return {**about, "content": blocks, "stop_reason": "end_turn", "usage": counts}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "length" if is_cut else "content_filter" if body["model"] == "filtered" else "stop",
    }
    counts = {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": counts}


async def test_an_answer_that_the_client_refuses_is_no_lesson_and_costs_what_it_used(tansu: TansuBroker) -> None:
    def reply(raw: bytes) -> Any:
        return json_reply(_answer(json.loads(raw)))

    refused: list[str] = []
    async with scripted_upstream(reply) as url:
        told: dict[str, Any] = {"api_key": "k", "max_retries": 0}
        async with (
            openai.AsyncOpenAI(base_url=url, **told) as client,
            anthropic.AsyncAnthropic(base_url=url.removesuffix("/v1"), **told) as claude,
            on_the_bus(tansu, price=lambda _model, usage: usd(usage.prompt_tokens)) as sdk,
        ):
            chat, messages = sdk.shadow(client, task="t"), sdk.shadow(claude, task="t")
            for name in ("cut", "filtered", "wrong"):
                with pytest.raises(Exception) as caught:  # noqa: PT011 - each of its own kind
                    await chat.chat.completions.parse(**{**CHAT, "model": name}, response_format=Label)
                refused.append(type(caught.value).__name__)
            with pytest.raises(ValidationError):
                await chat.responses.parse(**{**RESPONSES, "model": "wrong"}, text_format=Label)
            with pytest.raises(ValidationError):
                await messages.messages.parse(**{**MESSAGES, "model": "wrong"}, output_format=Label)
            assert await asyncio.to_thread(sdk.flush, 10)
            events = await invocations(tansu, 5)
    assert refused == ["LengthFinishReasonError", "ContentFilterFinishReasonError", "ValidationError"]
    assert [event.response for event in events] == [None] * 5
    assert [str(event.error).partition(":")[0] for event in events] == [*refused, "ValidationError", "ValidationError"]
    assert [(one.usage.prompt_tokens, one.usage.completion_tokens) for one in events] == [(20, 2)] * 5
    assert [event.cost_usd for event in events] == [20] * 5


async def test_what_is_shadowed_twice_is_recorded_once_as_what_it_was_shadowed_last(
    teacher: FakeTeacher, clients: Clients, corpus: Path, tmp_path: Path
) -> None:
    with local(corpus) as sdk, local(tmp_path / "other.jsonl") as other:
        shadow = sdk.shadow(clients.chat_async, task="first")
        assert await _async_create(sdk.shadow(shadow, task="second")) == TEXT
        create = sdk.shadow(shadow.chat.completions.create, task="third")
        await create(**CHAT)
        await sdk.shadow(create, task="fourth")(**CHAT)
        await other.shadow(shadow.chat.completions.create, task="fifth")(**CHAT)
        await shadow.chat.completions.create(**CHAT)
    assert [line["task"] for line in corpus_lines(corpus)] == ["second", "third", "fourth", "first", "first"]
    assert [line["task"] for line in corpus_lines(tmp_path / "other.jsonl")] == ["fifth"]


async def _async_create(client: Any) -> Any:
    return (await client.chat.completions.create(**CHAT)).choices[0].message.content


async def test_calls_through_the_router_are_left_to_it_when_they_are_awaited_together(corpus: Path) -> None:
    def reply(_: bytes) -> web.Response:
        return web.json_response(_answer({"model": "m"}), headers={"x-understudies-invocation": "e-1"})

    async with (
        scripted_upstream(reply) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k") as client,
    ):
        with local(corpus) as sdk:
            create = sdk.shadow(client, task="t").chat.completions.create
            await asyncio.gather(*(create(**CHAT) for _ in range(3)))
            first, second = create(**CHAT), create(**CHAT)
            await second
            await first
    assert corpus_lines(corpus) == []
