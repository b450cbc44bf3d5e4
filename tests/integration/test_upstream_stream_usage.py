"""Teachers that refuse the option with which the router asks a stream for its usage."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.support.dialects import encode_sse
from tests.support.provider_events import USAGE_CHUNK, make_chunk
from tests.support.router_harness import BuildHarness, router_harnesses
from tests.support.scripted_upstream import Reply, json_reply, scripted_upstream, stream_reply

PLAIN = encode_sse(make_chunk({"role": "assistant", "content": "hi"}), make_chunk({}, "stop"), "[DONE]")
WITH_USAGE = encode_sse(make_chunk({"content": "hi"}, "stop"), USAGE_CHUNK, "[DONE]")


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


class Strict:
    """Refuses `stream_options`, in one of the ways in which servers do; `bodies` are those it was sent."""

    def __init__(self, refuse: Reply = lambda _: stream_reply(WITH_USAGE)) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._refuse = refuse

    def __call__(self, raw: bytes) -> web.Response:
        body = json.loads(raw)
        self.bodies.append(body)
        if body.get("bad"):
            return json_reply({"error": {"message": "bad is not allowed"}}, 400)
        if "stream_options" not in body:
            return stream_reply(PLAIN)
        return self._refuse(raw)

    @property
    def asked_for_usage(self) -> list[bool]:
        return ["stream_options" in body for body in self.bodies]


def _forbidden() -> dict[str, Any]:
    return {"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}}


REFUSALS: dict[str, Reply] = {
    "422": lambda _: json_reply({"object": "error", **_forbidden()}, 422),
    "400": lambda _: json_reply({"error": {"message": "Extra inputs are not permitted"}}, 400),
    "text": lambda _: web.Response(text="unknown field", status=422),
    "named in a 500": lambda _: json_reply({"error": {"message": "include_usage: not implemented"}}, 500),
    "inside a 200": lambda _: json_reply({"error": {"message": "stream_options is not supported", "code": 400}}),
    "inside a stream": lambda _: stream_reply(encode_sse({"error": {"message": "stream_options: unknown"}})),
}


@pytest.mark.parametrize("way", REFUSALS)
async def test_it_is_asked_again_without_it_once_and_then_never_with_it(build: BuildHarness, way: str) -> None:
    strict = Strict(REFUSALS[way])
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        for _ in range(3):
            got = await house.ask("chat", stream=True)
            assert (got.status, got.body) == (200, PLAIN)
    assert strict.asked_for_usage == [True, False, False, False]
    events = await house.recorded()
    assert [event.response and event.response.message.text for event in events] == ["hi"] * 3
    assert all(event.usage_estimated and event.usage.prompt_tokens for event in events)


CRASH: Reply = lambda _: web.Response(text="Internal Server Error", status=500)  # noqa: E731


async def test_a_server_that_crashes_on_it_is_asked_without_it(build: BuildHarness) -> None:
    strict = Strict(CRASH)
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        for _ in range(4):
            got = await house.ask("chat", stream=True)
            assert (got.status, got.body) == (200, PLAIN)
    # One crash may have had another cause.
    assert strict.asked_for_usage == [True, False, True, False, False, False]


async def test_a_crash_of_another_cause_does_not_cost_the_usage_of_later_streams(build: BuildHarness) -> None:
    answers = iter([CRASH(b"")])
    strict = Strict(lambda _: next(answers, None) or stream_reply(WITH_USAGE))
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        for _ in range(3):
            assert (await house.ask("chat", stream=True)).status == 200
    assert strict.asked_for_usage == [True, False, True, True]


async def test_what_is_remembered_is_of_one_model(build: BuildHarness) -> None:
    strict = Strict(REFUSALS["422"])
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        for model in ("a", "a", "b"):
            assert (await house.ask("chat", stream=True, model=model)).status == 200
    assert strict.asked_for_usage == [True, False, False, True, False]


async def test_a_bad_request_is_told_as_without_the_router_and_not_taken_for_a_refusal(build: BuildHarness) -> None:
    strict = Strict()
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        got = await house.ask("chat", stream=True, bad=True)
        assert (got.status, b"bad is not allowed" in got.body) == (400, True)
        assert (await house.ask("chat", stream=True)).body == encode_sse(
            make_chunk({"content": "hi"}, "stop"), "[DONE]"
        )
        assert (await house.ask("chat", stream=True, bad=True)).status == 400
    # A bad request is repeated only as long as the model has not taken the option.
    assert strict.asked_for_usage == [True, False, True, True]


async def test_what_the_caller_asked_for_itself_is_not_taken_back(build: BuildHarness) -> None:
    strict = Strict(REFUSALS["422"])
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        got = await house.ask("chat", stream=True, stream_options={"include_usage": True})
        assert (got.status, b"extra_forbidden" in got.body) == (422, True)
    assert strict.asked_for_usage == [True]


async def test_a_rule_switches_it_off(build: BuildHarness) -> None:
    strict = Strict()
    async with scripted_upstream(strict) as url:
        house = await build(teachers={"teacher": {"base_url": url, "stream_usage": False}})
        assert (await house.ask("chat", stream=True)).body == PLAIN
    assert strict.asked_for_usage == [False]
