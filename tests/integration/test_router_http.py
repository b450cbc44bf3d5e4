"""The router over HTTP, asked by the real client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import aiohttp
import openai
import pytest
from tests.support.fake_teacher import FakeTeacher
from tests.support.fake_teacher_responses import render_stream
from tests.support.router_fixtures import ARTIFACT, FixedStudent, StubLoader, make_drift, make_promotion

from understudies.datasets.object_store import ObjectStore
from understudies.events import Event, FunctionCall, Invocation, Message, ToolCall
from understudies.router.app import RouterApp
from understudies.router.factory import create_app
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.messages import Record
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.teacher import TeacherSpec
from understudies.students.base import Answer, StudentError, text_answer

KEY = "sk-the-callers-own-key-0001"
ASK = [{"role": "user", "content": "My card was stolen"}]
TASK = {"X-Understudies-Task": "triage"}


class Bus:
    """Hands over events as they are, and keeps what is published."""

    def __init__(self) -> None:
        self.inbox: list[Event] = []
        self.published: list[Invocation] = []

    async def decode_events(self, records: Sequence[Record]) -> list[Event]:
        return self.inbox

    async def publish(self, *events: Event) -> None:
        self.published += [event for event in events if isinstance(event, Invocation)]


class World:
    """A router between a teacher and a client."""

    def __init__(self, app: RouterApp, bus: Bus, teacher: FakeTeacher, student: FixedStudent, load: StubLoader) -> None:
        self.app = app
        self.bus = bus
        self.teacher = teacher
        self.student = student
        self.load = load
        self.draw = 0.5

    @property
    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.app.url}/v1", api_key=KEY, max_retries=0, timeout=20)

    async def hear(self, *events: Event) -> None:
        self.bus.inbox = list(events)
        await self.app.handle([])
        await self.app.call_service.wait_idle()

    async def recorded(self) -> list[Invocation]:
        await self.app.call_service.wait_idle()
        await self.app.recorder.flush()
        return self.bus.published

    async def post(
        self, body: bytes, path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[int, dict[str, object], dict[str, str]]:
        named = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.app.url}{path}", data=body, headers=named) as response,
        ):
            return response.status, await response.json(), {k.lower(): v for k, v in response.headers.items()}


Build = Callable[..., Awaitable[World]]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        async def built(**settings: object) -> World:
            teacher = await stack.enter_async_context(FakeTeacher())
            bus, student = Bus(), FixedStudent()
            load = StubLoader(student)
            told = {"port": 0, "auto_deliver": False, "probation_calls": 0, **settings}
            seconds = told.pop("seconds", 20.0)
            spec = TeacherSpec.model_validate(
                {
                    "base_url": told.pop("teacher_url", teacher.url),
                    "api_key": told.pop("teacher_api_key", None),
                    "models": ["gpt-4o", "*"],
                    "retries": {"max": 0},
                    "timeouts": {"first_byte_s": seconds, "total_s": seconds},
                }
            )
            world: World
            app = create_app(
                RouterSettings.model_validate(told),
                bus=bus,
                files=ObjectStore("memory://students"),
                load=load,
                rules=Rules(teachers={"teacher": spec}),
                sample=lambda: world.draw,
            )
            world = World(app, bus, teacher, student, load)
            await app.start()
            stack.push_async_callback(app.stop)
            return world

        yield built


@pytest.fixture
async def world(build: Build) -> World:
    return await build()


async def ask(world: World, **fields: object) -> tuple[str | None, dict[str, str]]:
    asked: dict[str, object] = {"model": "gpt-4o-mini", "messages": ASK, "extra_headers": TASK, **fields}
    async with world.client as client:
        raw = await client.chat.completions.with_raw_response.create(**asked)  # type: ignore[call-overload] # loose
    headers = {name: value for name, value in raw.headers.items() if name.startswith("x-")}
    return raw.parse().choices[0].message.content, headers


def reasons(events: list[Invocation]) -> list[str]:
    return [event.route.reason for event in events if event.route]


async def test_the_teachers_answer_passes_through_unchanged(world: World) -> None:
    status, body, headers = await world.post(
        json.dumps({"model": "gpt-4o-mini", "messages": ASK}).encode(), x_understudies_task="triage"
    )
    assert (status, body) == (200, world.teacher.completion())
    assert headers["x-request-id"] == "req-1"
    assert headers["x-understudies-served-by"] == "teacher"
    assert headers["x-understudies-reason"] == "no_student"
    assert headers["x-understudies-task"] == "triage"
    assert "set-cookie" not in headers
    (event,) = await world.recorded()
    assert headers["x-understudies-invocation"] == event.id
    assert (event.task, event.usage.prompt_tokens, event.model) == ("triage", 1000, "gpt-4o-mini-2024-07-18")
    assert str(event.cost_usd) == "0.000210000"


async def test_the_sync_client_is_served_too(world: World) -> None:
    def asked() -> str | None:
        with openai.OpenAI(base_url=f"{world.app.url}/v1", api_key=KEY, max_retries=0, timeout=20) as client:
            answer = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], extra_headers=TASK
            )
            return answer.choices[0].message.content

    assert await asyncio.to_thread(asked) == "teacher's answer"


async def test_a_promoted_student_answers(world: World) -> None:
    await world.hear(make_promotion())
    text, headers = await ask(world)
    assert text == "student's answer"
    assert headers["x-understudies-served-by"] == "student"
    assert headers["x-understudies-student"] == "triage@1"
    assert headers["x-understudies-confidence"] == "0.9"
    assert headers["x-understudies-reason"] == "promoted"
    assert (world.load.loads, world.teacher.asked) == ([ARTIFACT], [])


async def test_low_confidence_escalates_inside_the_call(world: World) -> None:
    await world.hear(make_promotion())
    world.student.reply = text_answer("a guess", 0.2)
    text, headers = await ask(world)
    assert text == "teacher's answer"
    assert (headers["x-understudies-reason"], headers["x-understudies-confidence"]) == ("low_confidence", "0.2")


async def test_a_student_that_raises_falls_back(world: World) -> None:
    await world.hear(make_promotion())
    world.student.reply = StudentError("out of memory")
    text, headers = await ask(world)
    assert (text, headers["x-understudies-reason"]) == ("teacher's answer", "student_error")


async def test_a_student_that_is_slow_falls_back(build: Build) -> None:
    world = await build(student_timeout_s=0.05)
    await world.hear(make_promotion())
    world.student.asleep = True
    text, headers = await ask(world)
    assert (text, headers["x-understudies-reason"]) == ("teacher's answer", "student_error")


async def test_drift_falls_back_with_the_next_call(world: World) -> None:
    await world.hear(make_promotion())
    await ask(world)
    await world.hear(make_drift())
    text, headers = await ask(world)
    assert (text, headers["x-understudies-reason"]) == ("teacher's answer", "drift")


async def test_critical_tasks_stay_with_the_teacher(build: Build) -> None:
    world = await build(critical_tasks=frozenset({"triage"}))
    await world.hear(make_promotion())
    text, headers = await ask(world)
    assert (text, headers["x-understudies-reason"]) == ("teacher's answer", "critical")


async def test_a_call_declared_critical_stays_with_the_teacher(world: World) -> None:
    await world.hear(make_promotion())
    _, headers = await ask(world, extra_headers={**TASK, "X-Understudies-Critical": "true"})
    assert headers["x-understudies-reason"] == "critical"


async def test_a_drawn_call_is_audited_without_the_caller_waiting(world: World) -> None:
    await world.hear(make_promotion(audit_rate=0.6))
    world.teacher.mood = "hang"
    text, _ = await ask(world)
    assert text == "student's answer"
    await asyncio.wait_for(world.teacher.arrived.wait(), 10)
    assert world.teacher.headers[0]["cache-control"] == "no-cache"
    world.teacher.release.set()
    live, audit = await world.recorded()
    assert (audit.origin, audit.audits, reasons([audit])) == ("audit", live.id, ["audit"])


async def test_the_callers_key_reaches_the_teacher_and_nothing_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.hear(make_promotion(audit_rate=1.0))
    caplog.set_level("DEBUG")
    await ask(world, model="gpt-4o-mini")
    (live, audit) = await world.recorded()
    assert world.teacher.headers[0]["authorization"] == f"Bearer {KEY}"
    kept = live.model_dump_json() + audit.model_dump_json() + "".join(r.getMessage() for r in caplog.records)
    assert KEY not in kept


async def test_a_key_of_the_routers_own_replaces_the_callers(build: Build) -> None:
    world = await build(teacher_api_key="sk-own")
    await ask(world)
    assert world.teacher.headers[0]["authorization"] == "Bearer sk-own"


async def test_records_are_redacted_and_the_teachers_request_is_not(world: World) -> None:
    world.teacher.text = "I wrote to ada@example.org"
    text, _ = await ask(world, messages=[{"role": "user", "content": "Who is ada@example.org?"}])
    (event,) = await world.recorded()
    assert text == "I wrote to ada@example.org"
    assert world.teacher.asked[0]["messages"][0]["content"] == "Who is ada@example.org?"
    assert event.response is not None
    assert (event.request.messages[0].text, event.response.message.text) == ("Who is [EMAIL]?", "I wrote to [EMAIL]")


async def test_a_students_tool_call_is_the_clients_tool_call(world: World) -> None:
    await world.hear(make_promotion())
    function = FunctionCall(name="block_card", arguments='{"card": 7}')
    world.student.reply = Answer(Message(role="assistant", tool_calls=(ToolCall(id="c1", function=function),)), 0.95)
    tool = {"type": "function", "function": {"name": "block_card", "parameters": {"required": ["card"]}}}
    async with world.client as client:
        answer = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "stolen"}],
            tools=[tool],  # type: ignore[list-item] # plain JSON
            extra_headers=TASK,
        )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].id
    assert choice.message.tool_calls[0].model_dump(exclude={"id"}) == {
        "type": "function",
        "function": {"name": "block_card", "arguments": '{"card": 7}'},
    }


@pytest.mark.parametrize("promoted", [True, False])
async def test_a_stream_carries_the_whole_answer(world: World, promoted: bool) -> None:
    if promoted:
        await world.hear(make_promotion())
    async with world.client as client:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=TASK,
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == ("student's answer" if promoted else "teacher's answer")
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


async def test_a_stream_is_recorded_once_its_last_data_is_there(world: World) -> None:
    world.teacher.hold_after = len(render_stream("chat", world.teacher.said, usage=True))
    body = {"model": "gpt-4o-mini", "messages": ASK, "stream": True}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        session.post(f"{world.app.url}/v1/chat/completions", json=body, headers=TASK) as response,
    ):
        while await response.content.readline() != b"data: [DONE]\n":
            assert not response.content.at_eof()
        assert world.app.recorder.counts.recorded == 1
        world.teacher.release.set()
        await response.read()
    (event,) = await world.recorded()
    assert (event.answered_by_teacher, event.hung_up) == (True, False)
    assert event.cost_usd > 0


async def test_a_teacher_that_does_not_stream_is_recorded_too(world: World) -> None:
    world.teacher.mood = "whole"
    body = {"model": "gpt-4o-mini", "messages": ASK, "stream": True}
    status, answered, _ = await world.post(json.dumps(body).encode(), **TASK)
    (event,) = await world.recorded()
    assert (status, answered["object"], event.answered_by_teacher) == (200, "chat.completion", True)


async def test_the_model_may_name_the_task(build: Build) -> None:
    world = await build(teacher_model="gpt-4o")
    await world.hear(make_promotion(share=0.0))
    _, headers = await ask(world, model="understudies/triage", extra_headers={})
    assert headers["x-understudies-task"] == "triage"
    assert world.teacher.asked[0]["model"] == "gpt-4o"
    async with world.client as client:
        listed = [model.id async for model in client.models.list()]
    assert listed[0] == "understudies/triage"
    assert len(listed) > 1


async def test_a_rate_limit_reaches_the_caller_as_it_is(world: World) -> None:
    world.teacher.mood = "limit"
    with pytest.raises(openai.RateLimitError) as raised:
        await ask(world)
    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.request_id == "req-1"
    (event,) = await world.recorded()
    assert (event.served_by, event.error) == ("none", "teacher answered 429: slow down")


@pytest.mark.parametrize(
    ("mood", "status", "words"),
    [
        ("fail", 500, "broken"),
        ("truncate", 502, "not JSON"),
        ("not_json", 502, "not JSON"),
        ("drop", 502, "broke off"),
        ("html", 502, "Bad Gateway"),
        ("redirect", 502, "answered 307"),
    ],
)
async def test_a_failing_teacher_is_an_error_in_openais_shape(world: World, mood: str, status: int, words: str) -> None:
    world.teacher.mood = mood  # type: ignore[assignment] # parametrized
    with pytest.raises(openai.InternalServerError, match=words) as raised:
        await ask(world)
    assert raised.value.status_code == status
    (event,) = await world.recorded()
    assert words in (event.error or "")
    assert len(world.teacher.asked) == 1


async def test_an_answer_of_another_shape_reaches_the_caller_as_it_is(world: World) -> None:
    world.teacher.mood = "odd"
    status, body, headers = await world.post(json.dumps({"model": "m", "messages": ASK}).encode())
    assert (status, body) == (200, {"object": "chat.completion", "choices": []})
    assert headers["x-request-id"] == "req-1"
    (event,) = await world.recorded()
    assert event.response is None


async def test_a_slow_teacher_is_given_up(build: Build) -> None:
    world = await build(seconds=0.2)
    world.teacher.mood = "hang"
    with pytest.raises(openai.InternalServerError) as raised:
        await ask(world)
    assert raised.value.status_code == 504


async def test_a_teacher_that_drips_is_waited_for(world: World) -> None:
    world.teacher.mood = "drip"
    assert (await ask(world))[0] == "teacher's answer"


async def test_a_teacher_that_is_away_is_an_error_and_the_student_serves_on(build: Build) -> None:
    world = await build(teacher_url="http://127.0.0.1:9/v1")
    with pytest.raises(openai.InternalServerError, match="cannot be reached"):
        await ask(world)
    await world.hear(make_promotion())
    assert (await ask(world))[0] == "student's answer"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 200_000, "not JSON"),
        (b'{"model":"m","messages":' + b"[" * 500 + b"]" * 500 + b"}", "nested"),
        (json.dumps({"model": "m", "messages": ASK, "metadata": {"task": "a/b"}}).encode(), "no task name"),
    ],
)
async def test_a_bad_request_is_refused_clearly(world: World, body: bytes, words: str) -> None:
    status, answer, _ = await world.post(body)
    error = answer["error"]
    assert status == 400
    assert isinstance(error, dict)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert world.teacher.asked == []


async def test_a_body_that_is_too_large_is_refused(build: Build) -> None:
    world = await build(max_body_bytes=1000)
    status, answer, _ = await world.post(b'{"x":"' + b"y" * 2000 + b'"}')
    assert status == 413
    assert "larger than 1000 bytes" in json.dumps(answer)


async def test_a_body_without_a_length_is_measured_as_it_comes(build: Build) -> None:
    world = await build(max_body_bytes=1000)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 500

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{world.app.url}/v1/chat/completions", data=parts()) as response,
    ):
        assert response.status == 413


async def test_unknown_paths_and_methods_answer_in_openais_shape(world: World) -> None:
    status, answer, _ = await world.post(b"{}", "/v2/embeddings")
    assert status == 404
    assert "/v2/embeddings" in json.dumps(answer)
    status, answer, headers = await world.post(b"{}", "/v1/models")
    assert (status, "error" in answer) == (405, True)
    assert "GET" in headers["allow"]


async def test_health_and_readiness(world: World) -> None:
    async with aiohttp.ClientSession() as session:
        for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
            async with session.get(f"{world.app.url}{path}") as response:
                assert (response.status, (await response.json())["status"]) == (200, status)


async def test_odd_names_do_not_break_the_headers(world: World) -> None:
    task = "über \x7f%"
    await world.hear(make_promotion(student=f"{task}@1").model_copy(update={"task": task}))
    _, headers = await ask(world, metadata={"task": task}, extra_headers={})
    assert headers["x-understudies-task"] == "%C3%BCber%20%7F%25"
    assert headers["x-understudies-student"] == "%C3%BCber%20%7F%25@1"


async def test_stopping_finishes_the_calls_that_have_begun(world: World) -> None:
    world.teacher.mood = "hang"
    asked = asyncio.create_task(ask(world))
    await asyncio.wait_for(world.teacher.arrived.wait(), 10)
    # The teacher takes longer than the server needs to notice that it is to stop.
    asyncio.get_running_loop().call_later(0.5, world.teacher.release.set)
    await asyncio.gather(world.app.stop(), asked)
    assert asked.result()[0] == "teacher's answer"
    assert reasons(world.bus.published) == ["no_student"]


async def test_the_state_brings_the_table_back(world: World, build: Build) -> None:
    await world.hear(make_promotion())
    other = await build()
    await other.app.restore(json.loads(json.dumps(world.app.state())))
    await other.app.call_service.wait_idle()
    assert (await ask(other))[0] == "student's answer"
