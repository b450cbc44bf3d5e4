"""What passes through the front door to a teacher, and what of it may not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from tests.support.fake_teacher_responses import PATHS
from tests.support.router_harness import APIS, BuildHarness, body_of, router_harnesses


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


class _Hasty:
    """A server that answers as soon as the headers have come, and keeps what came on each connection."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        try:
            while True:
                self.came.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(with_body)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


async def test_the_length_of_a_body_that_is_not_sent_is_not_told_either(build: BuildHarness) -> None:
    hasty = _Hasty()
    async with await asyncio.start_server(hasty.serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        house = await build(teachers={"teacher": {"base_url": f"http://{host}:{port}/v1"}})
        assert (await house.send("GET", "/v1/files", data=b"A" * 60)).status == 200
        assert (await house.send("GET", "/v1/batches", authorization="Bearer anothers")).status == 200
    first, second = hasty.came
    assert first.startswith(b"GET /v1/files ")
    assert b"content-" not in first.lower()
    assert second.startswith(b"GET /v1/batches ")


async def test_a_teacher_that_cannot_be_reached_is_told_as_such(build: BuildHarness) -> None:
    house = await build(teachers={"teacher": {"base_url": "http://127.0.0.1:9/v1"}})
    got = await house.send("POST", "/v1/embeddings", json={"model": "embed-1", "input": "x"})
    assert got.status == 502
    assert b"teacher_unreachable" in got.body


async def test_a_model_that_no_teacher_has_is_told_as_such(build: BuildHarness) -> None:
    house = await build(teachers={"teacher": {"models": ["gpt-*"]}})
    got = await house.send("POST", "/v1/embeddings", json={"model": "embed-1", "input": "x"})
    assert got.status == 404
    assert b"model_not_found" in got.body


async def test_an_upload_that_is_too_large_is_told_as_such(build: BuildHarness) -> None:
    house = await build(max_body_bytes=1000)
    got = await house.send("POST", "/v1/files", data=b"A" * 2000, content_type="multipart/form-data; boundary=b")
    assert got.status == 413
    assert b"request_too_large" in got.body


async def test_tokens_to_embed_go_to_the_teacher_of_their_model_however_many(build: BuildHarness) -> None:
    house = await build(teachers={"spare": {"models": ["gpt-*"]}, "teacher": {"models": ["embed-1"]}})
    many = {"input": [[1] * 200_000], "model": "embed-1"}
    assert (await house.send("POST", "/v1/embeddings", json=many)).status == 200
    assert [one.path_and_query for one in house.teacher.passed] == ["/v1/embeddings"]


async def test_what_stands_after_the_path_of_a_call_goes_to_the_teacher(build: BuildHarness) -> None:
    house = await build(rules={"tasks": {"triage": {"cache_ttl_s": 60}}})
    for api in APIS:
        for stream in (False, True):
            path = f"{PATHS[api]}?beta=true&api-version=2026-01-01"
            got = await house.send(
                "POST", path, json=body_of(api, stream=stream, temperature=0.5), x_understudies_task="triage"
            )
            assert got.status == 200
    assert house.teacher.queries == ["beta=true&api-version=2026-01-01"] * 6


async def test_answers_to_other_queries_are_not_given_again(build: BuildHarness) -> None:
    house = await build(rules={"tasks": {"triage": {"cache_ttl_s": 60}}})
    for query in ("?v=1", "?v=1", "?v=2", ""):
        await house.send(
            "POST", PATHS["chat"] + query, json=body_of("chat", temperature=0), x_understudies_task="triage"
        )
        assert house.app.call_service._response_cache._store is not None
        await house.app.call_service._response_cache._store.wait_idle()
    assert house.teacher.queries == ["v=1", "v=2", ""]


TWO: dict[str, dict[str, Any]] = {
    "openai": {"models": ["gpt-*"]},
    "local": {"models": ["llama-local", "llama-*"], "auth": "none"},
}


async def test_the_models_of_all_teachers_are_listed(build: BuildHarness) -> None:
    house = await build(teachers=TWO)
    house.teachers["local"].models = ["llama-local", "gpt-4o-mini", "qwen"]
    listed = orjson.loads((await house.send("GET", "/v1/models")).body)
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == ["gpt-4o-mini", "llama-local", "qwen"]


async def test_a_teacher_that_lists_nothing_has_the_names_that_the_rules_have(build: BuildHarness) -> None:
    house = await build(teachers=TWO)
    house.teachers["local"].mood = "fail"
    listed = orjson.loads((await house.send("GET", "/v1/models", anthropic_version="2023-06-01")).body)
    assert [one["id"] for one in listed["data"]] == ["gpt-4o-mini", "llama-local"]
    assert listed["data"][1]["type"] == "model"


async def test_the_key_of_a_caller_lists_the_models_of_the_default_teacher_alone(build: BuildHarness) -> None:
    house = await build(teachers={"openai": {"models": ["gpt-*"]}, "local": {"models": ["llama-local"]}})
    listed = orjson.loads((await house.send("GET", "/v1/models", authorization="Bearer sk-mine")).body)
    assert [one["id"] for one in listed["data"]] == ["gpt-4o-mini", "llama-local"]
    assert house.teachers["local"].passed == []


async def test_a_model_is_looked_up_at_the_teacher_that_has_it(build: BuildHarness) -> None:
    house = await build(teachers=TWO)
    await house.send("GET", "/v1/models/llama-local")
    assert [one.path_and_query for one in house.teachers["local"].passed] == ["/v1/models/llama-local"]
    assert (await house.send("GET", "/v1/models/claude")).status == 404
    assert house.teachers["openai"].passed == []


@pytest.mark.parametrize("quoted", ['"model"', '"model"; x=y', "model"])
async def test_a_form_goes_to_the_teacher_of_its_model(build: BuildHarness, quoted: str) -> None:
    house = await build(teachers=TWO)
    form = (
        f"--x\r\nContent-Disposition: form-data; name={quoted}\r\n\r\nllama-local\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    ).encode()
    body = form + b"0123456789" * 50_000 + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    assert (await house.send("POST", "/v1/audio/transcriptions", data=body, content_type=kind)).status == 200
    (passed,) = house.teachers["local"].passed
    assert (passed.path_and_query, passed.body) == ("/v1/audio/transcriptions", body)


async def test_a_form_without_a_model_goes_to_the_default_teacher(build: BuildHarness) -> None:
    house = await build(teachers=TWO)
    body = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
    await house.send("POST", "/v1/files", data=body, content_type="multipart/form-data; boundary=x")
    assert [one.body for one in house.teachers["openai"].passed] == [body]


BUDGET: dict[str, Any] = {"tasks": {"triage": {"daily_budget_usd": "1", "model": "gpt-4o-mini"}}}
UNREADABLE: dict[str, Any] = {"messages": [{"role": "critic", "content": "x"}]}


async def test_a_slash_behind_the_path_of_a_call_changes_nothing(build: BuildHarness) -> None:
    house = await build(rules=BUDGET)
    for api in APIS:
        got = await house.send("POST", PATHS[api] + "/", json=body_of(api), x_understudies_task="triage")
        assert (got.status, got.about["task"]) == (200, "triage")
    assert [event.task for event in await house.recorded()] == ["triage"] * 3


async def test_what_names_a_task_with_a_budget_does_not_pass_around_it(build: BuildHarness) -> None:
    house = await build(rules=BUDGET)
    named: dict[str, Any] = {"x_understudies_task": "triage"}
    by_header = await house.send("POST", "/v1/completions", json={"model": "m", "prompt": "x"}, **named)
    form = await house.send("POST", "/v1/audio/speech", data=b"x", content_type="text/plain", **named)
    by_body = await house.send("POST", "/v1/embeddings", json={"model": "m", "metadata": {"task": "triage"}})
    for got in (by_header, form, by_body):
        assert got.status == 400
        assert b"the task has a budget" in got.body
    assert house.teacher.passed == []
    assert (await house.send("GET", "/v1/models", **named)).status == 200
    assert (await house.send("POST", "/v1/messages/count_tokens", json={"model": "m"}, **named)).status == 200
    other = await house.send("POST", "/v1/completions", json={"model": "m"}, x_understudies_task="other")
    assert other.status == 200
    for told in (5, "translate/this", " "):
        got = await house.send("POST", "/v1/embeddings", json={"model": "m", "input": "x", "metadata": {"task": told}})
        assert got.status == 200


async def test_what_was_meant_for_the_router_does_not_reach_the_teacher_in_what_only_it_can_read(
    build: BuildHarness,
) -> None:
    house = await build(rules={"tasks": {"triage": {"model": "gpt-4o-mini"}}})
    kept: dict[str, Any] = {"metadata": {"task": "triage", "user": "7"}}
    await house.send("POST", PATHS["chat"], json={"model": "understudies/triage", **UNREADABLE, **kept})
    await house.send("POST", PATHS["chat"], json={"model": "gpt-5", **UNREADABLE, "metadata": {"task": "triage"}})
    assert house.teacher.asked == [
        {"model": "gpt-4o-mini", **UNREADABLE, "metadata": {"user": "7"}},
        {"model": "gpt-5", **UNREADABLE},
    ]


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1//chat/completions", "/v1/chat///completions/"])
async def test_a_call_is_recorded_with_repeated_slashes_too(build: BuildHarness, path: str) -> None:
    house = await build()
    got = await house.send("POST", path, json=body_of("chat"))
    assert (got.status, got.about["reason"]) == (200, "no_student")
    assert (await house.event()).response is not None


async def test_repeated_slashes_get_round_no_rule(build: BuildHarness) -> None:
    house = await build()
    assert (await house.send("POST", "/v1//embeddings?a=//b", json={"model": "e", "input": "x"})).status == 200
    assert [one.path_and_query for one in house.teacher.passed] == ["/v1/embeddings?a=//b"]


async def test_a_repeated_header_reaches_the_teacher_whole(build: BuildHarness) -> None:
    house = await build()
    body = orjson.dumps(body_of("messages"))
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        host, port = house.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n"
        betas = "anthropic-version: 2023-06-01\r\nanthropic-beta: a-1\r\nanthropic-beta: b-2\r\n"
        writer.write(f"{head}{betas}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert house.teacher.headers[0]["anthropic-beta"] == "a-1, b-2"
    assert house.teacher.passed[0].headers["anthropic-beta"] == "a-1, b-2"


async def test_a_caller_of_http_1_0_gets_a_stream_that_ends_with_the_connection(build: BuildHarness) -> None:
    house = await build()
    body = orjson.dumps(body_of("chat", stream=True))
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    got_head, _, stream = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert got_head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in got_head
    assert b"connection: close" in got_head
    assert stream.startswith(b"data: ")
    assert stream.endswith(b"data: [DONE]\n\n")
    assert (await house.event()).streamed


@pytest.mark.parametrize("path", ["/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/models/x:countTokens"])
async def test_a_path_of_geminis_own_api_is_told_with_its_remedy(build: BuildHarness, path: str) -> None:
    house = await build()
    got = await house.send("POST", path, json={"contents": []})
    assert got.status == 404
    assert b"https://generativelanguage.googleapis.com/v1beta/openai" in got.body
    other = await house.send("POST", "/v1beta/models", json={})
    assert other.status == 404
    assert b"the APIs are under /v1" in other.body
