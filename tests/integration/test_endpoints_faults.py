"""Teachers that fail, through the whole router: what callers are told in their API, and what is recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.fake_teacher import LARGE, Behaviour, refusing_address
from tests.support.fake_teacher_responses import Api, render_error_body, render_error_event, render_response
from tests.support.router_harness import (
    APIS,
    PROMPT,
    TASK,
    BuildHarness,
    RawClient,
    RawResponse,
    RouterHarness,
    router_harnesses,
)


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.fixture
async def house(build: BuildHarness) -> RouterHarness:
    return await build()


def told(api: Api, got: RawResponse) -> str:
    """The message of an error in an API's own shape."""
    body = json.loads(got.body)
    if api == "messages":
        assert body["type"] == "error"
    else:
        assert body["error"].keys() >= {"message", "type", "param", "code"}
    assert body["error"]["type"]
    # Anthropic's shape has no place for a code, so it stands before the message.
    return str(body["error"]["message"]).rpartition(": " if api == "messages" else "\0")[2]


BROKEN: dict[Behaviour, tuple[int, str]] = {
    "html": (502, "Bad Gateway"),
    "page": (502, "not"),
    "redirect": (502, "answered 307"),
    "truncate": (502, "not JSON"),
    "not_json": (502, "not JSON"),
    "reset": (502, "broke off"),
    "cut": (502, "broke off"),
    "drop": (502, "broke off"),
}
"""Moods of a teacher whose answer the caller cannot have, with what the caller has instead."""


@pytest.mark.parametrize("api", APIS)
async def test_a_broken_answer_is_an_error_of_the_api(house: RouterHarness, api: Api) -> None:
    for mood, (status, words) in BROKEN.items():
        house.teacher.mood = mood
        got = await house.ask(api)
        assert (mood, got.status) == (mood, status)
        assert words in told(api, got)
        event = (await house.recorded())[-1]
        assert (event.served_by, event.response, event.hung_up, event.api) == ("none", None, False, api)
        assert words in (event.error or "")
        assert got.about["invocation"] == event.id


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_teachers_own_error_is_passed_as_it_is(house: RouterHarness, api: Api, stream: bool) -> None:
    house.teacher.extra = {"x-ratelimit-remaining-requests": "0", "openai-processing-ms": "5", "server": "hidden"}
    for mood, status, kind, message, code in (
        ("fail", 500, "server_error", "broken", None),
        ("unavailable", 503, "server_error", "gone for a moment", None),
        ("overloaded", 529, "overloaded_error", "Overloaded", None),
        ("limit", 429, "rate_limit_error", "slow down", "rate_limit_exceeded"),
        ("spent", 429, "insufficient_quota", "no money left", "insufficient_quota"),
        ("refuse", 400, "invalid_request_error", "temperature is too high", None),
    ):
        house.teacher.mood = mood  # type: ignore[assignment] # one of them
        got = await house.ask(api, stream=stream)
        assert (got.status, json.loads(got.body)) == (status, render_error_body(api, kind, message, code))
        assert got.headers["x-request-id"] == f"req-{len(house.teacher.asked)}"
        assert got.headers["x-ratelimit-remaining-requests"] == "0"
        assert got.headers.get("retry-after") == ("7" if mood == "limit" else None)
        assert got.headers.get("server") != "hidden"
        event = (await house.recorded())[-1]
        assert (event.served_by, event.streamed, event.error) == (
            "none",
            stream,
            f"teacher answered {status}: {message}",
        )


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_breaks_off_ends_with_an_error_of_the_api(house: RouterHarness, api: Api) -> None:
    for mood, words in (("truncate", "ended before"), ("reset", "broke off"), ("cut", "broke off")):
        house.teacher.mood = mood  # type: ignore[assignment] # one of them
        got = await house.ask(api, stream=True)
        assert (got.status, got.about["served-by"]) == (200, "teacher")
        last = got.body.rstrip(b"\n").split(b"\n\n")[-1]
        error = json.loads(last.split(b"data: ", 1)[1])
        assert words in json.dumps(error)
        assert b"error" in last
        event = (await house.recorded())[-1]
        assert (event.served_by, event.streamed, event.hung_up) == ("none", True, False)
        assert words in (event.error or "")
        assert event.cost_usd > 0


@pytest.mark.parametrize("api", APIS)
async def test_an_error_inside_a_stream_is_passed_as_it_is(house: RouterHarness, api: Api) -> None:
    house.teacher.mood = "error_event"
    got = await house.ask(api, stream=True)
    assert got.body.endswith(render_error_event(api))
    event = await house.event()
    assert event.served_by == "none"
    assert "overloaded in the middle" in (event.error or "")


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_begins_with_an_error_or_makes_no_sense_is_an_error(house: RouterHarness, api: Api) -> None:
    house.teacher.mood = "error_first"
    got = await house.ask(api, stream=True)
    assert (got.status, told(api, got)) == (502, "overloaded in the middle")
    house.teacher.mood = "page"
    assert "not a stream" in told(api, await house.ask(api, stream=True))


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_of_nonsense_ends_with_an_error(house: RouterHarness, api: Api) -> None:
    house.teacher.mood = "not_json"
    got = await house.ask(api, stream=True)
    assert b"ended before" in got.body
    event = await house.event()
    assert event.served_by == "none"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_teacher_that_streams_nothing_is_passed_whole(house: RouterHarness, api: Api, stream: bool) -> None:
    house.teacher.mood = "whole"
    got = await house.ask(api, stream=stream)
    assert got.body == json.dumps(render_response(api, house.teacher.said)).encode()
    assert got.headers["content-type"].startswith("application/json")
    assert (await house.event()).usage.completion_tokens == 100


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_20_megabytes_comes_whole(house: RouterHarness, stream: bool) -> None:
    house.teacher.mood = "large"
    got = await house.ask("chat", stream=stream)
    assert len(got.body) > LARGE
    assert got.body.count(b"x") >= LARGE
    assert (await house.event()).served_by == "teacher"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_teacher_that_refuses_connections_is_an_error(build: BuildHarness, api: Api, stream: bool) -> None:
    with refusing_address() as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        got = await house.ask(api, stream=stream)
    assert (got.status, told(api, got)) == (502, "the teacher cannot be reached")
    assert (await house.event()).error == "teacher answered 502: the teacher cannot be reached"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("stream", "mood"),
    [
        *((False, mood) for mood in ("fail", "overloaded", "limit", "drop", "html", "reset")),
        # What has begun is not begun again, so no reset.
        *((True, mood) for mood in ("fail", "overloaded", "limit", "drop", "html")),
    ],
)
async def test_another_teacher_answers_where_one_fails(
    build: BuildHarness, api: Api, stream: bool, mood: Behaviour
) -> None:
    house = await build(teachers={"teacher": {"fallback": ["other"]}, "other": {"models": ["none"], "auth": "none"}})
    house.teacher.mood = mood
    got = await house.ask(api, stream=stream)
    assert (got.status, got.about["teacher"]) == (200, "other")
    assert len(house.teachers["other"].asked) == 1
    assert "authorization" not in house.teachers["other"].headers[0]
    event = await house.event()
    assert event.served_by == "teacher"
    assert event.response is not None
    assert event.response.message.text == "other's answer"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_short_limit_is_waited_for_and_asked_again(build: BuildHarness, stream: bool) -> None:
    house = await build(teachers={"teacher": {"retries": {"max": 2, "base_s": 0.01}}})
    house.teacher.retry_after = {"retry-after-ms": "20"}
    house.teacher.moods.extend(["limit", "overloaded"])
    got = await house.ask("messages", stream=stream)
    assert (got.status, len(house.teacher.asked)) == (200, 3)
    assert got.headers["x-request-id"] == "req-3"


async def test_what_is_no_answer_reaches_the_caller_as_it_is_and_is_charged(house: RouterHarness) -> None:
    house.teacher.mood = "odd_paid"
    got = await house.ask("chat")
    assert (got.status, json.loads(got.body)["detail"]) == (200, "moo")
    event = await house.event()
    assert (event.served_by, event.response) == ("none", None)
    assert event.cost_usd > 0


async def test_a_teacher_that_never_answers_is_given_up(build: BuildHarness) -> None:
    house = await build(teachers={"teacher": {"timeouts": {"first_byte_s": 0.1}}})
    house.teacher.mood = "hang"
    for api in APIS:
        got = await house.ask(api)
        assert (got.status, told(api, got)) == (504, "the teacher did not answer in time")


async def test_the_routers_own_time_out_ends_a_call(build: BuildHarness) -> None:
    house = await build(request_timeout_s=0.2)
    house.teacher.mood = "hang"
    for api in APIS:
        house.teacher.cancelled.clear()
        got = await house.ask(api)
        assert got.status == 504
        assert "no answer within 0.2 s" in told(api, got)
        await house.teacher.cancelled.wait()
    assert {(event.served_by, event.hung_up) for event in await house.recorded()} == {("none", False)}


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_the_routers_own_time_out_ends_is_told_as_such(build: BuildHarness, api: Api) -> None:
    house = await build(request_timeout_s=1.0)
    house.teacher.text = "one two three four five six"
    house.teacher.hold_after = {"chat": 3, "responses": 6, "messages": 5}[api]
    got = await house.ask(api, stream=True)
    assert got.status == 200
    assert b"one" in got.body
    assert got.body.endswith(b"\n\n")
    assert b"the router's time-out passed" in got.body.split(b"\n\n")[-2]
    event = await house.event()
    assert (event.served_by, event.hung_up, event.response) == ("none", False, None)
    assert "504: the router's time-out passed" in (event.error or "")
    assert event.cost_usd > 0
    await house.teacher.cancelled.wait()
    assert counted((await house.send("GET", "/metrics")).body) == {("teacher", "timeout", "504"): 1}


async def test_a_stream_that_outlasts_the_time_for_draining_is_told_as_such(build: BuildHarness) -> None:
    house = await build(drain_s=1)
    house.teacher.hold_after = 2
    asking = asyncio.create_task(house.ask("messages", stream=True))
    await house.teacher.held.wait()
    await house.app.stop()
    got = await asking
    assert b"the router stopped" in got.body.split(b"\n\n")[-2]
    (event,) = house.bus.published
    assert "503: the router stopped" in (event.error or "")
    assert not event.hung_up


async def test_a_body_that_takes_too_long_is_not_waited_for(build: BuildHarness) -> None:
    house = await build(rules={"router": {"request_timeout_s": 0.2}})
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        caller = await RawClient.post(house, path, b'{"model":', **{"content-length": "1000"})
        assert b" 408 " in await caller.reader.readline()
        assert b"the body did not come within 0.2 s" in await caller.reader.read()
        await caller.disconnect()
    assert await house.recorded() == []


async def test_the_time_outs_of_calls_are_counted(build: BuildHarness) -> None:
    house = await build(request_timeout_s=0.1)
    house.teacher.mood = "hang"
    await house.ask("chat")
    assert counted((await house.send("GET", "/metrics")).body) == {("none", "timeout", "504"): 1}


def counted(page: bytes) -> dict[tuple[str, str, str], float]:
    """The calls that the metrics count, by who answered, why, and the status."""
    return {
        (sample.labels["served_by"], sample.labels["reason"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == "understudies_router_requests_total"
    }


RAISED: list[tuple[Behaviour, type[openai.APIError], type[anthropic.APIError]]] = [
    ("refuse", openai.BadRequestError, anthropic.BadRequestError),
    ("unauthorized", openai.AuthenticationError, anthropic.AuthenticationError),
    ("limit", openai.RateLimitError, anthropic.RateLimitError),
    ("fail", openai.InternalServerError, anthropic.InternalServerError),
    ("overloaded", openai.InternalServerError, anthropic.APIStatusError),
    ("html", openai.InternalServerError, anthropic.InternalServerError),
    ("reset", openai.InternalServerError, anthropic.InternalServerError),
]


async def test_the_official_clients_raise_the_right_errors(house: RouterHarness) -> None:
    said: Any = [{"role": "user", "content": PROMPT}]
    async with house.openai() as ours, house.anthropic() as theirs:
        for mood, of_openai, of_anthropic in RAISED:
            house.teacher.mood = mood
            with pytest.raises(of_openai):
                await ours.chat.completions.create(model="m", messages=said, extra_headers=TASK)
            with pytest.raises(of_openai):
                await ours.responses.create(model="m", input=PROMPT, extra_headers=TASK)
            with pytest.raises(of_anthropic):
                await theirs.messages.create(model="m", max_tokens=9, messages=said, extra_headers=TASK)


async def test_the_official_clients_raise_what_happens_in_a_stream(house: RouterHarness) -> None:
    said: Any = [{"role": "user", "content": PROMPT}]
    async with house.openai() as ours, house.anthropic() as theirs:
        for mood in ("error_event", "reset"):
            house.teacher.mood = mood
            with pytest.raises(openai.APIError):
                async for _ in await ours.chat.completions.create(
                    model="m", messages=said, stream=True, extra_headers=TASK
                ):
                    pass
            events = await ours.responses.create(model="gpt-4o", input=PROMPT, stream=True, extra_headers=TASK)
            assert [event.type async for event in events][-1] == "error"
            with pytest.raises(anthropic.APIStatusError):
                async with theirs.messages.stream(
                    model="m", max_tokens=9, messages=said, extra_headers=TASK
                ) as messages:
                    await messages.get_final_message()


async def test_what_is_passed_on_fails_in_the_apis_own_shape(build: BuildHarness, house: RouterHarness) -> None:
    with refusing_address() as url:
        away = await build(teachers={"teacher": {"base_url": url}})
        got = await away.send("POST", "/v1/embeddings", json={"model": "e", "input": "x"})
        assert (got.status, told("chat", got)) == (502, "the teacher cannot be reached")
        got = await away.send("POST", "/v1/messages/count_tokens", json={"model": "c"}, anthropic_version="2023-06-01")
        assert (got.status, told("messages", got)) == (502, "the teacher cannot be reached")
    house.teacher.mood = "limit"
    got = await house.send("POST", "/v1/embeddings", json={"model": "e", "input": "x"})
    assert (got.status, got.headers["retry-after"]) == (429, "7")


async def test_a_passed_answer_that_breaks_off_breaks_off(
    house: RouterHarness, caplog: pytest.LogCaptureFixture
) -> None:
    house.teacher.mood = "reset"
    with pytest.raises(Exception, match=r"."):
        await house.send("POST", "/v1/embeddings", json={"model": "e", "input": "x"})
    assert "Traceback" not in caplog.text


async def test_before_it_stops_it_says_so_and_still_takes_calls(build: BuildHarness) -> None:
    house = await build(lame_duck_s=2.0)
    assert (await house.send("GET", "/readyz")).status == 200
    stopping = asyncio.create_task(house.app.stop())
    while (told := await house.send("GET", "/readyz")).status == 200:
        pass
    assert (told.status, json.loads(told.body)["status"]) == (503, "not ready")
    assert (await house.ask("chat")).status == 200
    await stopping
    assert len(house.bus.published) == 1
