"""Teachers asked for whole answers, over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from tests.support.fake_teacher import LARGE, Behaviour, FakeTeacher, refusing_address
from tests.support.fake_teacher_responses import PATHS, Api, render_response
from tests.support.upstream import AT, FakeTime, call_of, table, teachers

from understudies.dialects.registry import dialect_of
from understudies.router.call import TeacherError
from understudies.router.http1.client import HttpClient
from understudies.router.upstream.catalogue import TeacherCatalogue
from understudies.router.upstream.teachers import TeacherPool

APIS: tuple[Api, ...] = ("chat", "responses", "messages")
TOOL = {"name": "block_card", "arguments": {"card": 7}}


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher() as fake:
        yield fake


@pytest.fixture
async def other() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher("the other teacher's answer") as fake:
        yield fake


async def failure(asked: TeacherPool, **fields: Any) -> TeacherError:
    with pytest.raises(TeacherError) as raised:
        await asked.ask(call_of(**fields))
    return raised.value


@pytest.mark.parametrize("api", APIS)
async def test_bodies_pass_unchanged_both_ways(teacher: FakeTeacher, api: Api) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = call_of(api)
        answer = await asked.ask(call)
    assert teacher.raws == [call.raw]
    assert answer.raw == json.dumps(render_response(api, teacher.said)).encode()
    assert (answer.status, answer.teacher, answer.estimated) == (200, "main", False)
    assert answer.response.message.text == "teacher's answer"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1000, 100)
    assert answer.cost_usd == (Decimal("0.0045") if api == "messages" else Decimal("0.00021"))


@pytest.mark.parametrize("api", APIS)
async def test_calls_of_tools_are_read(teacher: FakeTeacher, api: Api) -> None:
    teacher.tools = (TOOL,)
    async with teachers(main={"base_url": teacher.url}) as asked:
        answer = await asked.ask(call_of(api))
    (call,) = answer.response.message.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == ("block_card", {"card": 7})


async def test_headers_for_the_caller_are_kept_and_no_others(teacher: FakeTeacher) -> None:
    teacher.extra = {"OpenAI-Processing-Ms": "12", "x-ratelimit-remaining-tokens": "9", "x-internal": "secret"}
    async with teachers(main={"base_url": teacher.url}) as asked:
        answer = await asked.ask(call_of())
    assert answer.headers == {
        "x-request-id": "req-1",
        "openai-processing-ms": "12",
        "x-ratelimit-remaining-tokens": "9",
        "content-type": "application/json",
    }


async def test_a_flat_price_and_a_price_by_token_are_used(teacher: FakeTeacher) -> None:
    for price, cost in (
        ({"price_usd": "0.5"}, Decimal("0.5")),
        ({"price_per_mtok": {"input": 10, "output": 100}}, Decimal("0.02")),
    ):
        async with teachers(main={"base_url": teacher.url, **price}) as asked:
            assert (await asked.ask(call_of())).cost_usd == cost


CALLERS = {"authorization": "Bearer callers", "openai-organization": "org-callers", "cookie": "c=1"}


@pytest.mark.parametrize(
    ("spec", "api", "sent"),
    [
        ({}, "chat", {"authorization": "Bearer callers", "openai-organization": "org-callers"}),
        ({"api_key": "own"}, "chat", {"authorization": "Bearer own"}),
        ({"api_key": "own"}, "messages", {"x-api-key": "own"}),
        ({"api_key": "own", "auth": "bearer"}, "messages", {"authorization": "Bearer own"}),
        ({"api_key": "own", "auth": "x-api-key"}, "chat", {"x-api-key": "own"}),
        ({"auth": "none"}, "chat", {}),
        ({"auth": "x-api-key"}, "chat", {"x-api-key": "callers", "openai-organization": "org-callers"}),
    ],
)
async def test_each_teacher_is_sent_the_key_that_is_meant_for_it(
    teacher: FakeTeacher, spec: dict[str, str], api: Api, sent: dict[str, str]
) -> None:
    async with teachers(main={"base_url": teacher.url, **spec}) as asked:
        await asked.ask(call_of(api, passed=CALLERS))
    (headers,) = teacher.headers
    secrets = ("authorization", "x-api-key", "openai-organization", "cookie")
    assert {name: headers[name] for name in secrets if name in headers} == sent


async def test_a_fallback_gets_its_own_key_and_no_other(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "unavailable"
    async with teachers(
        main={"base_url": teacher.url, "api_key": "mains", "fallback": ["second"], "retries": {"max": 0}},
        second={"base_url": other.url, "api_key": "seconds", "models": ["none"]},
    ) as asked:
        answer = await asked.ask(call_of(passed=CALLERS))
    assert (answer.teacher, answer.response.message.text) == ("second", "the other teacher's answer")
    assert teacher.headers[0]["authorization"] == "Bearer mains"
    assert other.headers[0]["authorization"] == "Bearer seconds"
    assert "callers" not in str(teacher.headers + other.headers)
    assert "mains" not in str(other.headers)


async def test_a_fallback_may_have_another_model(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "fail"
    second = {"teacher": "second", "model": "their-mini"}
    async with teachers(
        main={"base_url": teacher.url, "fallback": [second], "retries": {"max": 0}, "auth": "none"},
        second={"base_url": other.url, "auth": "none", "models": ["their-*"]},
    ) as asked:
        await asked.ask(call_of(temperature=0.5))
    assert other.asked == [{**teacher.asked[0], "model": "their-mini"}]


async def test_fallbacks_that_do_not_speak_the_api_are_passed_over(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "fail"
    async with teachers(
        main={"base_url": teacher.url, "fallback": ["second"], "auth": "none", "retries": {"max": 0}},
        second={"base_url": other.url, "auth": "none", "apis": ["chat"]},
    ) as asked:
        assert (await failure(asked, api="messages")).status == 500
    assert other.asked == []


async def test_a_fresh_answer_comes_past_caches(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        await asked.ask(call_of(passed={"idempotency-key": "i1"}), fresh=True)
    assert teacher.headers[0]["cache-control"] == "no-cache"
    assert "idempotency-key" not in teacher.headers[0]


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_can_be_asked_for_whole(teacher: FakeTeacher, api: Api) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        answer = await asked.ask(call_of(api, stream=True))
    assert answer.response.message.text == "teacher's answer"
    assert "stream" not in teacher.asked[0]


async def test_a_call_without_a_body_is_asked_as_a_chat(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        await asked.ask(replace(call_of("messages"), raw=None))
    assert teacher.asked == [
        {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "my card is gone"}]}
    ]


async def test_models_choose_the_teacher_and_a_task_may_name_another(teacher: FakeTeacher, other: FakeTeacher) -> None:
    specs: dict[str, Any] = {
        "claudes": {"base_url": other.url, "models": ["claude-*"]},
        "all": {"base_url": teacher.url},
    }
    async with teachers(**specs) as asked:
        assert (await asked.ask(call_of("messages"))).teacher == "claudes"
        assert (await asked.ask(call_of("chat"))).teacher == "all"
    async with teachers(chosen=lambda call: "claudes", **specs) as asked:
        assert (await asked.ask(call_of("chat"))).teacher == "claudes"


async def test_an_unknown_model_is_refused_with_those_that_are_known(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url, "models": ["gpt-*", "o3"]}) as asked:
        error = await failure(asked, api="messages")
    assert (error.status, error.code) == (404, "model_not_found")
    assert "'claude-sonnet-4-5'" in error.message
    assert "gpt-* (main), " in error.message + ", "
    assert teacher.asked == []


@pytest.mark.parametrize("mood", ["fail", "unavailable", "overloaded", "limit", "html", "drop", "reset", "cut"])
async def test_what_may_mend_is_tried_again(teacher: FakeTeacher, mood: Behaviour) -> None:
    teacher.moods.extend([mood, mood])
    time = FakeTime()
    async with teachers(time, main={"base_url": teacher.url, "retries": {"max": 2, "base_s": 1.0}}) as asked:
        answer = await asked.ask(call_of())
        counts = asked.upstreams[0].counts
    assert answer.response.message.text == "teacher's answer"
    assert len(teacher.asked) == 3
    first, second = {"limit": (7.5, 7.5), "drop": (0.0, 1.0)}.get(mood, (0.5, 1.0))
    assert time.waits == [first, second]
    assert answer.latency_ms == sum(time.waits) * 1000
    assert (counts.attempts, counts.retried, counts.failed, counts.answered) == (3, 2, 2, 1)


@pytest.mark.parametrize("mood", ["refuse", "spent", "unauthorized", "redirect", "odd", "not_json", "truncate", "page"])
async def test_what_cannot_mend_is_not_tried_again(teacher: FakeTeacher, mood: Behaviour) -> None:
    teacher.mood = mood
    async with teachers(main={"base_url": teacher.url}) as asked:
        await failure(asked)
    assert len(teacher.asked) == 1


async def test_the_teacher_may_say_not_to_try_again(teacher: FakeTeacher) -> None:
    teacher.mood = "fail"
    teacher.extra = {"x-should-retry": "false"}
    async with teachers(main={"base_url": teacher.url}) as asked:
        assert (await failure(asked)).headers["x-should-retry"] == "false"
    assert len(teacher.asked) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3"}, 3.5),
        ({"retry-after-ms": "200", "retry-after": "1"}, 0.3),
        ({"retry-after": format_datetime(AT + timedelta(seconds=9), usegmt=True), "date": format_datetime(AT)}, 9.5),
    ],
)
async def test_the_teachers_wait_is_waited(teacher: FakeTeacher, headers: dict[str, str], wait: float) -> None:
    teacher.moods.append("limit")
    teacher.retry_after = headers
    time = FakeTime()
    async with teachers(time, main={"base_url": teacher.url, "retries": {"base_s": 1.0}}) as asked:
        await asked.ask(call_of())
    assert time.waits == [pytest.approx(wait)]


async def test_a_wait_beyond_patience_goes_back_to_the_caller_as_it_is(teacher: FakeTeacher) -> None:
    teacher.mood = "limit"
    teacher.retry_after = {"retry-after": "61"}
    async with teachers(main={"base_url": teacher.url}) as asked:
        error = await failure(asked)
    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "61")
    assert json.loads(error.raw or b"")["error"]["message"] == "slow down"
    assert error.headers["content-type"].startswith("application/json")
    assert len(teacher.asked) == 1


async def test_a_wait_beyond_patience_goes_to_the_next_teacher(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "limit"
    teacher.retry_after = {"retry-after": "61"}
    time = FakeTime()
    async with teachers(
        time,
        main={"base_url": teacher.url, "auth": "none", "fallback": ["second"]},
        second={"base_url": other.url, "auth": "none"},
    ) as asked:
        assert (await asked.ask(call_of())).teacher == "second"
    assert (len(teacher.asked), time.waits) == (1, [])


async def test_waits_end_with_the_calls_time(teacher: FakeTeacher) -> None:
    teacher.mood = "limit"
    time = FakeTime()
    async with teachers(
        time, main={"base_url": teacher.url, "timeouts": {"total_s": 10.0}, "retries": {"max": 20}}
    ) as asked:
        assert (await failure(asked)).status == 429
    assert len(time.waits) == 1


@pytest.mark.parametrize("mood", ["fail", "overloaded", "html", "page", "not_json", "redirect", "reset", "spent"])
async def test_failures_move_on_to_the_next_teacher(teacher: FakeTeacher, other: FakeTeacher, mood: Behaviour) -> None:
    teacher.mood = mood
    async with teachers(
        main={"base_url": teacher.url, "auth": "none", "fallback": ["second"], "retries": {"max": 1}},
        second={"base_url": other.url, "auth": "none"},
    ) as asked:
        assert (await asked.ask(call_of())).teacher == "second"


async def test_a_request_that_is_wrong_is_not_taken_elsewhere(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "refuse"
    async with teachers(
        main={"base_url": teacher.url, "auth": "none", "fallback": ["second"]},
        second={"base_url": other.url, "auth": "none"},
    ) as asked:
        error = await failure(asked)
    assert (error.status, error.message) == (400, "temperature is too high")
    assert other.asked == []


async def test_where_all_fail_the_caller_hears_the_first_that_spoke(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "limit"
    teacher.retry_after = {"retry-after": "61"}
    other.mood = "refuse"
    with refusing_address() as url:
        async with teachers(
            main={"base_url": url, "auth": "none", "fallback": ["second", "third"]},
            second={"base_url": teacher.url, "auth": "none"},
            third={"base_url": other.url, "auth": "none"},
        ) as asked:
            error = await failure(asked)
    assert (error.status, error.message) == (429, "slow down")
    assert len(other.asked) == 1


async def test_a_refused_connection_is_tried_again_and_told() -> None:
    time = FakeTime()
    with refusing_address() as url:
        async with teachers(time, main={"base_url": url}) as asked:
            error = await failure(asked)
    assert (error.status, error.code, len(time.waits)) == (502, "teacher_unreachable", 2)
    assert "cannot be reached" in error.message
    assert "127.0.0.1" not in error.message


async def test_a_key_that_is_not_taken_is_not_shown_to_the_caller(teacher: FakeTeacher) -> None:
    teacher.mood = "unauthorized"
    async with teachers(main={"base_url": teacher.url, "api_key": "sk-own-secret"}) as asked:
        error = await failure(asked)
    assert (error.status, error.code, error.raw) == (502, "teacher_refused_key", None)
    assert "sk-own" not in str(error)


async def test_a_key_of_the_callers_that_is_not_taken_is_the_callers_to_know(teacher: FakeTeacher) -> None:
    teacher.mood = "unauthorized"
    async with teachers(main={"base_url": teacher.url}) as asked:
        assert (await failure(asked)).status == 401


@pytest.mark.parametrize(
    ("mood", "status", "words"),
    [
        ("truncate", 502, "not JSON"),
        ("not_json", 502, "not JSON"),
        ("page", 502, "not JSON"),
        ("html", 502, "Bad Gateway"),
        ("redirect", 502, "answered 307"),
        ("reset", 502, "broke off"),
        ("cut", 502, "broke off"),
        ("drop", 502, "broke off"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_the_routers(
    teacher: FakeTeacher, mood: Behaviour, status: int, words: str
) -> None:
    teacher.mood = mood
    async with teachers(main={"base_url": teacher.url, "retries": {"max": 0}}) as asked:
        error = await failure(asked)
    assert (error.status, error.raw) == (status, None)
    assert words in error.message
    assert "content-type" not in error.headers


async def test_an_answer_of_another_shape_is_shown_and_paid(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        teacher.mood = "odd"
        error = await failure(asked)
        assert (error.status, error.cost_usd) == (200, Decimal(0))
        assert json.loads(error.raw or b"") == {"object": "chat.completion", "choices": []}
        teacher.mood = "odd_paid"
        assert (await failure(asked)).cost_usd == Decimal("0.00021")


async def test_an_answer_that_is_compressed_all_the_same_is_unpacked(teacher: FakeTeacher) -> None:
    teacher.mood = "zipped"
    async with teachers(main={"base_url": teacher.url}) as asked:
        answer = await asked.ask(call_of())
    assert teacher.headers[0]["accept-encoding"] == "identity"
    assert answer.raw == json.dumps(teacher.completion()).encode()
    assert not {"content-encoding", "content-length"} & set(answer.headers)


async def test_an_answer_that_drips_is_waited_for(teacher: FakeTeacher) -> None:
    teacher.mood = "drip"
    async with teachers(main={"base_url": teacher.url}) as asked:
        assert (await asked.ask(call_of())).response.message.text == "teacher's answer"


async def test_twenty_megabytes_are_an_answer_and_more_than_the_limit_is_none(teacher: FakeTeacher) -> None:
    teacher.mood = "large"
    async with teachers(main={"base_url": teacher.url}) as asked:
        answer = await asked.ask(call_of())
    assert len(answer.response.message.text) == LARGE
    async with teachers(main={"base_url": teacher.url}, max_answer_bytes=LARGE) as asked:
        error = await failure(asked)
    assert (error.status, error.code) == (502, "teacher_answer_too_large")
    assert len(teacher.asked) == 2


async def test_a_limit_holds_where_no_length_is_declared(teacher: FakeTeacher) -> None:
    teacher.mood = "drip"
    async with teachers(main={"base_url": teacher.url}, max_answer_bytes=100) as asked:
        assert (await failure(asked)).code == "teacher_answer_too_large"


async def test_a_large_request_arrives(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = call_of(metadata={"padding": "x" * 5_000_000})
        await asked.ask(call)
    assert teacher.raws == [call.raw]


@pytest.mark.parametrize(
    ("mood", "timeouts"),
    [
        ("hang", {"first_byte_s": 0.05}),
        ("stall", {"idle_s": 0.05}),
        ("hang", {"total_s": 0.05}),
        ("stall", {"total_s": 0.05}),
    ],
)
async def test_a_teacher_that_is_too_slow_is_given_up(
    teacher: FakeTeacher, mood: Behaviour, timeouts: dict[str, float]
) -> None:
    teacher.mood = mood
    async with teachers(main={"base_url": teacher.url, "timeouts": timeouts}) as asked:
        error = await failure(asked)
    assert (error.status, error.code, len(teacher.asked)) == (504, "teacher_timeout", 1)
    await asyncio.wait_for(teacher.cancelled.wait(), 10)


async def test_a_teacher_that_is_too_slow_has_a_fallback(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "hang"
    async with teachers(
        main={"base_url": teacher.url, "auth": "none", "fallback": ["second"], "timeouts": {"first_byte_s": 0.05}},
        second={"base_url": other.url, "auth": "none"},
    ) as asked:
        assert (await asked.ask(call_of())).teacher == "second"


BREAKER = {"min_calls": 4, "failure_share": 0.5, "open_s": 5.0}


async def test_a_teacher_that_keeps_failing_is_left_alone_and_tried_again(teacher: FakeTeacher) -> None:
    teacher.mood = "fail"
    time = FakeTime()
    async with teachers(time, main={"base_url": teacher.url, "breaker": BREAKER, "retries": {"max": 0}}) as asked:
        for _ in range(4):
            assert (await failure(asked)).status == 500
        refused = await failure(asked)
        assert (refused.status, refused.code, refused.headers) == (503, "teacher_circuit_open", {"retry-after": "5"})
        assert len(teacher.asked) == 4
        time.now += 5
        assert (await failure(asked)).status == 500
        assert (await failure(asked)).status == 503
        time.now += 5
        teacher.mood = "answer"
        await asked.ask(call_of())
        await asked.ask(call_of())
        (upstream,) = asked.upstreams
    assert (upstream.breaker.state, upstream.breaker.times_opened, upstream.counts.passed_over) == ("closed", 2, 2)


async def test_the_failure_that_opens_the_circuit_is_the_one_that_is_told(teacher: FakeTeacher) -> None:
    teacher.mood = "fail"
    async with teachers(main={"base_url": teacher.url, "breaker": BREAKER, "retries": {"max": 9}}) as asked:
        assert (await failure(asked)).status == 500
    assert len(teacher.asked) == 4


async def test_others_answer_for_a_teacher_that_is_left_alone(teacher: FakeTeacher, other: FakeTeacher) -> None:
    teacher.mood = "fail"
    async with teachers(
        main={
            "base_url": teacher.url,
            "auth": "none",
            "fallback": ["second"],
            "breaker": BREAKER,
            "retries": {"max": 0},
        },
        second={"base_url": other.url, "auth": "none"},
    ) as asked:
        for _ in range(6):
            assert (await asked.ask(call_of())).teacher == "second"
    assert len(teacher.asked) == 4


@pytest.mark.parametrize("mood", ["limit", "refuse", "odd", "unauthorized"])
async def test_what_is_not_the_teachers_fault_does_not_open_the_circuit(teacher: FakeTeacher, mood: Behaviour) -> None:
    teacher.mood = mood
    async with teachers(main={"base_url": teacher.url, "breaker": {"min_calls": 1}, "retries": {"max": 0}}) as asked:
        await failure(asked)
        assert asked.upstreams[0].breaker.state == "closed"


async def test_a_probe_that_is_given_up_leaves_room_for_the_next(teacher: FakeTeacher) -> None:
    teacher.mood = "fail"
    time = FakeTime()
    async with teachers(
        time, main={"base_url": teacher.url, "breaker": {"min_calls": 1}, "retries": {"max": 0}}
    ) as asked:
        await failure(asked)
        time.now += 5
        teacher.mood = "hang"
        teacher.arrived.clear()
        probe = asyncio.create_task(asked.ask(call_of()))
        await asyncio.wait_for(teacher.arrived.wait(), 10)
        assert (await failure(asked)).code == "teacher_circuit_open"
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        teacher.mood = "answer"
        assert (await asked.ask(call_of())).teacher == "main"
    await asyncio.wait_for(teacher.cancelled.wait(), 10)


async def test_a_call_that_is_cancelled_is_cancelled_at_the_teachers(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = asyncio.create_task(asked.ask(call_of()))
        await asyncio.wait_for(teacher.held.wait(), 10)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.wait_for(teacher.cancelled.wait(), 10)


async def test_usage_that_is_not_reported_is_estimated_from_what_was_learned(teacher: FakeTeacher) -> None:
    teacher.mood = "no_usage"
    async with teachers(main={"base_url": teacher.url}) as asked:
        call = call_of()
        guessed = await asked.ask(call)
        assert guessed.estimated
        assert guessed.usage.prompt_tokens == round(len(call.raw or b"") / 4)
        assert guessed.usage.completion_tokens == len("teacher's answer") / 4
        teacher.mood = "answer"
        assert not (await asked.ask(call)).estimated
        teacher.mood = "no_usage"
        learned = await asked.ask(call)
    assert (learned.usage.completion_tokens, learned.estimated) == (100, True)


async def test_connections_are_kept(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        for _ in range(5):
            await asked.ask(call_of())
    assert len(teacher.connections) == 1


async def test_teachers_may_change_while_calls_are_served(teacher: FakeTeacher, other: FakeTeacher) -> None:

    async with teachers(main={"base_url": teacher.url}) as asked:
        await asked.ask(call_of())
        (before,) = asked.upstreams
        asked.update_catalogue(
            TeacherCatalogue(table(main={"base_url": teacher.url}, more={"base_url": other.url, "models": ["gpt-*"]}))
        )
        assert (await asked.ask(call_of())).teacher == "more"
        assert asked.upstreams[0] is before


async def test_logs_hold_no_key_and_no_text(teacher: FakeTeacher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with teachers(
        main={"base_url": teacher.url, "api_key": "sk-own", "retries": {"max": 0}, "breaker": {"min_calls": 1}}
    ) as asked:
        for mood in ("answer", "unauthorized", "fail", "fail", "fail"):
            teacher.mood = mood
            with_key = call_of(passed=CALLERS)
            await asyncio.gather(asked.ask(with_key), return_exceptions=True)
    written = "".join(record.getMessage() for record in caplog.records)
    assert "its circuit is open" in written
    assert not any(secret in written for secret in ("sk-own", "callers", "card", "answer", "broken"))


def test_paths_are_those_of_the_dialects() -> None:
    assert {api: dialect_of(api).path for api in APIS} == PATHS


async def test_a_time_out_before_anything_was_sent_was_not_accepted(teacher: FakeTeacher) -> None:
    teacher.mood = "hang"
    spec = {"base_url": teacher.url, "timeouts": {"first_byte_s": 0.05}}
    for at_once, in_vain in ((0, 0), (1, 1)):
        asked = TeacherPool(TeacherCatalogue(table(main=spec)), client=HttpClient(max_connections=at_once))
        assert (await failure(asked)).unproductive_attempts == in_vain
        await asked.close()


async def test_a_query_goes_to_the_teacher_and_to_fallbacks_of_its_origin_alone(
    teacher: FakeTeacher, other: FakeTeacher
) -> None:
    specs: dict[str, Any] = {
        "main": {"base_url": teacher.url, "fallback": ["same", "other"], "retries": {"max": 0}},
        "same": {"base_url": teacher.url, "models": ["none"], "retries": {"max": 0}},
        "other": {"base_url": other.url, "models": ["none"], "auth": "none"},
    }
    teacher.mood = "unavailable"
    async with teachers(**specs) as asked:
        await asked.ask(replace(call_of(), query="api-version=2026-01-01"))
    assert teacher.queries == ["api-version=2026-01-01"] * 2
    assert other.queries == [""]
