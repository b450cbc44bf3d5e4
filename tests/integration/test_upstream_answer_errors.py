"""Errors that teachers report inside an answer with a status of success."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.dialects import encode_sse
from tests.support.fake_teacher_responses import Api
from tests.support.provider_events import make_chunk
from tests.support.router_harness import BuildHarness, router_harnesses
from tests.support.scripted_upstream import json_reply, scripted_upstream, stream_reply

from understudies.events import usd

FAILED_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "half"}, "finish_reason": "error"}
DIED = {"code": 502, "message": "upstream died"}
ERRORS: dict[str, tuple[Api, dict[str, Any]]] = {
    "error": ("chat", {"error": {"message": "Provider returned error", "code": 429}}),
    "text": ("chat", {"error": "Provider returned error"}),
    "old": ("chat", {"object": "error", "message": "no GPU is free", "code": 503}),
    "null choices": ("chat", {"id": "c", "choices": None, "error": {"message": "no", "type": "overloaded_error"}}),
    "framework": ("chat", {"detail": "Internal error"}),
    "gateway": ("chat", {"success": False, "errors": [{"code": 7000, "message": "no route"}], "result": None}),
    "msg": ("chat", {"code": 1305, "msg": "busy", "success": False}),
    "base_resp": ("chat", {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "no"}}),
    "framework, messages": ("messages", {"message": "Service Unavailable"}),
    "framework, responses": ("responses", {"detail": "Internal error"}),
    "reason": ("chat", {"id": "c", "model": "m", "choices": [FAILED_CHOICE]}),
    "choice": ("chat", {"id": "c", "model": "m", "choices": [{**FAILED_CHOICE, "error": DIED}]}),
    "failed": ("responses", {"id": "r", "object": "response", "status": "failed", "error": DIED, "output": []}),
    "messages": ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
}
EVERY = pytest.mark.parametrize("kind", ERRORS)
BOTH = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


@EVERY
@BOTH
async def test_the_fallback_answers(build: BuildHarness, kind: str, stream: bool) -> None:
    api, body = ERRORS[kind]
    async with scripted_upstream(lambda _: json_reply(body)) as url:
        house = await build(teachers={"main": {"base_url": url, "fallback": ["spare"]}, "spare": {"auth": "none"}})
        got = await house.ask(api, stream=stream)
        assert (got.status, got.about["teacher"], got.about["reason"]) == (200, "spare", "fallback")
    event = await house.event()
    assert event.response is not None
    assert event.response.message.text == "spare's answer"


@BOTH
async def test_an_error_in_a_list_is_one(build: BuildHarness, stream: bool) -> None:
    body = [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]
    async with scripted_upstream(lambda _: json_reply(body)) as url:
        house = await build(teachers={"main": {"base_url": url}})
        got = await house.ask("chat", stream=stream)
        assert (got.status, got.body) == (200, json_reply(body).body)
    event = await house.event()
    assert (event.response, event.error) == (None, "teacher answered 200: The model is overloaded.")


@EVERY
@BOTH
async def test_without_one_the_caller_gets_the_body_and_no_answer_is_recorded(
    build: BuildHarness, kind: str, stream: bool
) -> None:
    api, body = ERRORS[kind]
    async with scripted_upstream(lambda _: json_reply(body)) as url:
        house = await build(teachers={"main": {"base_url": url, "price_usd": "0.5"}})
        got = await house.ask(api, stream=stream)
        assert (got.status, got.body) == (200, json_reply(body).body)
    event = await house.event()
    assert (event.response, event.served_by, event.cost_usd) == (None, "none", usd(0))
    assert event.error is not None


async def test_what_it_reports_to_have_cost_is_booked(build: BuildHarness) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    body = {"model": "gpt-4o-mini", "choices": [FAILED_CHOICE], "usage": usage}
    async with scripted_upstream(lambda _: json_reply(body)) as url:
        house = await build(teachers={"main": {"base_url": url, "price_usd": "0.5"}})
        await house.ask("chat")
    event = await house.event()
    assert (event.response, event.cost_usd) == (None, usd("0.5"))


@BOTH
async def test_what_each_of_several_attempts_reports_to_have_cost_is_booked(build: BuildHarness, stream: bool) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    died = {"model": "m", "choices": [{**FAILED_CHOICE, "error": DIED}], "usage": usage}
    good = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}
    replies = [died] * 5 + [{**good, "usage": usage}]
    async with scripted_upstream(lambda _: json_reply(replies.pop(0))) as url:
        retries = {"max": 2, "base_s": 0.001}
        main, spare = ({"base_url": url, "price_usd": price, "retries": retries} for price in ("0.5", "0.01"))
        house = await build(teachers={"main": {**main, "fallback": ["spare"]}, "spare": {**spare, "auth": "none"}})
        assert b'"ok"' in (await house.ask("chat", stream=stream)).body
    event = await house.event()
    assert (replies, event.error, event.cost_usd) == ([], None, usd("1.53"))


async def test_attempts_that_all_fail_cost_what_each_reports(build: BuildHarness) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    died = {"model": "m", "choices": [{**FAILED_CHOICE, "error": DIED}], "usage": usage}
    async with scripted_upstream(lambda _: json_reply(died)) as url:
        retries = {"max": 2, "base_s": 0.001}
        main, spare = ({"base_url": url, "price_usd": price, "retries": retries} for price in ("0.5", "0.01"))
        house = await build(teachers={"main": {**main, "fallback": ["spare"]}, "spare": {**spare, "auth": "none"}})
        await house.ask("chat")
    assert (await house.event()).cost_usd == usd("1.53")


async def test_an_error_that_stands_for_a_moment_is_asked_again(build: BuildHarness) -> None:
    replies = [{"error": {"message": "slow down", "code": 429}}, {"error": {"message": "broken", "code": 500}}]
    good = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}
    async with scripted_upstream(lambda _: json_reply(replies.pop() if replies else good)) as url:
        house = await build(teachers={"main": {"base_url": url, "retries": {"max": 2, "base_s": 0.001}}})
        assert b'"ok"' in (await house.ask("chat")).body
    assert (replies, (await house.event()).error) == ([], None)


async def test_an_error_of_the_callers_own_is_asked_once_and_of_nobody_else(build: BuildHarness) -> None:
    asked: list[bytes] = []
    body = {"error": {"message": "temperature is too high", "code": 400}}

    async with scripted_upstream(lambda raw: asked.append(raw) or json_reply(body)) as url:  # type: ignore[func-returns-value]
        house = await build(teachers={"main": {"base_url": url, "fallback": ["spare"]}, "spare": {"auth": "none"}})
        assert b"too high" in (await house.ask("chat")).body
    assert (len(asked), house.teachers["spare"].asked) == (1, [])


@pytest.mark.parametrize("error", [{}, {"error": DIED}])
async def test_a_stream_that_ends_with_an_error_is_no_answer(build: BuildHarness, error: dict[str, Any]) -> None:
    last = make_chunk({"content": " or"}, "error")
    last["choices"][0] |= error
    events = encode_sse(make_chunk({"role": "assistant", "content": "half"}), last, "[DONE]")
    async with scripted_upstream(lambda _: stream_reply(events)) as url:
        house = await build(teachers={"main": {"base_url": url}})
        assert (await house.ask("chat", stream=True)).body == events
    event = await house.event()
    assert (event.response, event.served_by) == (None, "none")
    assert event.error is not None


@asynccontextmanager
async def dripping(stream: bytes, size: int) -> AsyncIterator[str]:
    """A server that streams an answer in pieces of this size, each in a packet of its own, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for at in range(0, len(stream), size):
            writer.write(stream[at : at + size])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}/v1"


@pytest.mark.parametrize("size", [1, 20, 10_000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\r\n"])
async def test_an_error_in_the_first_event_is_told_however_its_bytes_come(
    build: BuildHarness, size: int, mark: bytes
) -> None:
    async with dripping(mark + encode_sse({"error": DIED}), size) as url:
        house = await build(teachers={"main": {"base_url": url, "fallback": ["spare"]}, "spare": {"auth": "none"}})
        got = await house.ask("chat", stream=True)
        assert (got.status, got.about["teacher"], got.about["reason"]) == (200, "spare", "fallback")
