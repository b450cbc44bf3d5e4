"""Callers who hang up: whoever works for them stops, what it cost is recorded, and nothing is left behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from tests.support.fake_teacher_responses import PATHS, Api, render_stream
from tests.support.router_harness import APIS, BuildHarness, RawClient, RouterHarness, body_of, router_harnesses

from understudies.runtime.online.base import BudgetCounter, BudgetHold
from understudies.runtime.online.memory import MemoryOnlineState

TENANT_BUDGET = {"defaults": {"daily_budget_usd": "1"}}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


async def call(house: RouterHarness, api: Api, *, stream: bool = False) -> RawClient:
    return await RawClient.post(house, PATHS[api], json.dumps(body_of(api, stream=stream)).encode())


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_while_the_teacher_thinks(build: BuildHarness, api: Api, stream: bool) -> None:
    house = await build(rules=TENANT_BUDGET, online=MemoryOnlineState())
    house.teacher.mood = "hang"
    caller = await call(house, api, stream=stream)
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    await caller.disconnect()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    event = await house.event()
    assert (event.hung_up, event.served_by, event.api, event.streamed) == (True, "none", api, stream)
    # What the teacher had done by then nobody knows: what was set aside for the call counts as spent.
    assert event.cost_usd > 0
    await nothing_held(house, event.cost_usd)


@pytest.mark.parametrize("api", APIS)
async def test_in_the_middle_of_a_stream(build: BuildHarness, api: Api) -> None:
    house = await build(rules=TENANT_BUDGET, online=MemoryOnlineState())
    house.teacher.text = "one two three four five six"
    house.teacher.hold_after = {"chat": 3, "responses": 6, "messages": 5}[api]
    caller = await call(house, api, stream=True)
    await asyncio.wait_for(house.teacher.held.wait(), 10)
    assert await caller.reader.readuntil(b"two")
    await caller.disconnect()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    event = await house.event()
    assert (event.hung_up, event.usage_estimated, event.streamed) == (True, True, True)
    assert event.response is not None
    assert event.response.message.text.startswith("one two")
    assert event.usage.completion_tokens > 0
    assert event.cost_usd > 0
    await nothing_held(house, event.cost_usd)


async def test_before_the_answer_in_a_stream_begins(build: BuildHarness) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: in the queue\n\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        house = await build(teachers={"main": {"base_url": url}})
        caller = await call(house, "chat", stream=True)
        assert await caller.reader.readuntil(b"in the queue")
        await caller.disconnect()
        event = await house.event()
    assert (event.hung_up, event.served_by, event.streamed) == (True, "none", True)
    assert (event.cost_usd > 0, event.usage_estimated) == (True, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_while_the_student_thinks(build: BuildHarness, stream: bool) -> None:
    house = await build(by_endpoint=True, rules=TENANT_BUDGET, online=MemoryOnlineState(), student_timeout_s=30)
    await house.promote(threshold=0.5)
    house.student_server.behavior = "hang"
    caller = await call(house, "chat", stream=stream)
    await asyncio.wait_for(house.student_server.arrived.wait(), 10)
    await caller.disconnect()
    await asyncio.wait_for(house.student_server.client_disconnected.wait(), 10)
    event = await house.event()
    assert (event.hung_up, event.served_by, event.streamed) == (True, "none", stream)
    assert house.teacher.asked == []
    await nothing_held(house, event.cost_usd)


async def test_while_the_teacher_thinks_after_an_unsure_student(build: BuildHarness) -> None:
    house = await build(rules=TENANT_BUDGET, online=MemoryOnlineState())
    await house.promote(threshold=0.99)
    house.teacher.mood = "hang"
    caller = await call(house, "messages", stream=True)
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    await caller.disconnect()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    event = await house.event()
    assert event.route is not None
    assert (event.hung_up, event.student, event.route.reason) == (True, "triage@1", "low_confidence")
    assert event.cost_usd > event.route.student_cost_usd > 0
    await nothing_held(house, event.cost_usd)


async def test_before_the_whole_body_has_come(build: BuildHarness) -> None:
    house = await build()
    caller = await RawClient.post(house, PATHS["chat"], b'{"model":', **{"content-length": "1000"})
    await caller.disconnect()
    assert (await house.ask("chat")).status == 200
    assert len(await house.recorded()) == 1


async def test_while_something_passes_through(build: BuildHarness) -> None:
    house = await build()
    house.teacher.mood = "hang"
    caller = await RawClient.post(house, "/v1/embeddings", b'{"model": "e", "input": "x"}')
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    await caller.disconnect()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)
    assert await house.recorded() == []


async def test_while_the_teacher_thinks_about_an_upload(build: BuildHarness) -> None:
    house = await build()
    house.teacher.mood = "hang"
    caller = await RawClient.post(house, "/v1/files", b"hello", content_type="multipart/form-data; boundary=x")
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    await caller.disconnect()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)


async def test_while_a_teacher_lists_its_models(build: BuildHarness) -> None:
    house = await build()
    house.teacher.mood = "hang"
    host, port = house.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    writer.close()
    await asyncio.wait_for(house.teacher.cancelled.wait(), 10)


async def test_a_list_that_does_not_come_in_time_is_not_waited_for(build: BuildHarness) -> None:
    house = await build(teachers={"teacher": {"models": ["gpt-x", "gpt-*"]}}, request_timeout_s=0.1)
    house.teacher.mood = "hang"
    listed = json.loads((await house.send("GET", "/v1/models")).body)
    assert [one["id"] for one in listed["data"]] == ["gpt-x"]


@pytest.mark.parametrize("api", APIS)
async def test_once_the_answer_is_whole_but_for_the_end_of_the_transfer(build: BuildHarness, api: Api) -> None:
    house = await build()
    house.teacher.hold_after = len(render_stream(api, house.teacher.said, usage=True))
    caller = await call(house, api, stream=True)
    await asyncio.wait_for(house.teacher.held.wait(), 10)
    last = {"chat": b"[DONE]", "responses": b'"response.completed"', "messages": b'"message_stop"'}[api]
    await caller.reader.readuntil(last)
    await caller.disconnect()
    event = await house.event()
    assert (event.hung_up, event.answered_by_teacher, event.usage_estimated) == (False, True, False)
    assert event.usage.completion_tokens == 100
    page = (await house.send("GET", "/metrics")).body.decode()
    assert 'reason="no_student",served_by="teacher",status="200"' in page


async def test_who_hung_up_is_counted(build: BuildHarness) -> None:
    house = await build()
    house.teacher.mood = "hang"
    caller = await call(house, "chat")
    await asyncio.wait_for(house.teacher.arrived.wait(), 10)
    await caller.disconnect()
    await house.event()
    page = (await house.send("GET", "/metrics")).body.decode()
    assert 'reason="hung_up",served_by="none",status="499",task="triage"} 1.0' in page


async def test_many_at_once_leave_nothing_behind(build: BuildHarness) -> None:
    house = await build(rules=TENANT_BUDGET, online=MemoryOnlineState())
    house.teacher.mood = "hang"
    callers = [await call(house, api, stream=stream) for api in APIS for stream in (False, True) for _ in range(10)]
    async with asyncio.timeout(20):
        while len(house.teacher.asked) < len(callers):  # noqa: ASYNC110 - it promises no event
            await asyncio.sleep(0.01)
    for caller in callers:
        await caller.disconnect()
    async with asyncio.timeout(20):
        while len(await house.recorded()) < len(callers):  # noqa: ASYNC110 - it promises no event
            await asyncio.sleep(0.01)
    assert all(event.hung_up for event in house.bus.published)
    await nothing_held(house, sum((event.cost_usd for event in house.bus.published), Decimal(0)))


async def nothing_held(house: RouterHarness, spent: Decimal) -> None:
    """No money is set aside any more, and what was spent is what the events say."""
    assert isinstance(house.online, MemoryOnlineState)
    async with asyncio.timeout(20):
        while True:
            standings = await standing(house.online)
            if all(held == 0 for _, held in standings):
                break
            await asyncio.sleep(0.01)
    assert [Decimal(nanos).scaleb(-9) for nanos, _ in standings if nanos] == [spent.quantize(Decimal("1e-9"))]


async def standing(online: MemoryOnlineState) -> list[tuple[int, int]]:
    """What is spent and held of each budget, in billionths of a dollar."""
    purses = [BudgetCounter(key) for key in online._counters]
    reserved = await online.reserve("look", BudgetHold("look", 0), purses, lease_s=1, retention_s=86_400)
    return [(one.spent, one.held) for one in reserved.counters]
