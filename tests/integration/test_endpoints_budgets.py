"""Budgets and the exact cache end to end, on a real Redis server."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from tests.support.fake_teacher import Behaviour
from tests.support.fake_teacher_responses import Api
from tests.support.redis_server import RedisServer
from tests.support.router_harness import APIS, PROMPT, TASK, BuildHarness, RouterHarness, router_harnesses
from tests.support.unreliable_online import UnreliableOnlineState

from understudies.router.budgets.call_budget import EnforcedBudget
from understudies.router.budgets.units import from_nanos
from understudies.runtime.online.factory import create_online_state
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.students.base import text_answer

SHOP, BANK = generate_key(), generate_key()
TENANTS: dict[str, Any] = {"shop": {"keys": [key_hash(SHOP)]}, "bank": {"keys": [key_hash(BANK)]}}
CACHED: dict[str, Any] = {"tasks": {"triage": {"cache_ttl_s": 60}}}
SPENT: dict[str, Any] = {"tasks": {"triage": {"daily_budget_usd": "0.001"}}}
FLAT: dict[str, Any] = {"teacher": {"price_usd": "0.0006"}}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with RedisServer() as server, router_harnesses() as build:

        async def on_redis(**told: Any) -> RouterHarness:
            return await build(**{"online": create_online_state(server.url), **told})

        yield on_redis


async def once_kept(house: RouterHarness) -> None:
    """Wait until the answer before is in the cache: it is put there in the background."""
    cache = house.app.call_service._response_cache._store
    assert cache is not None
    if cache._writes:
        await asyncio.wait(cache._writes)


@pytest.mark.parametrize("api", APIS)
async def test_an_identical_question_gets_the_same_answer_without_the_teacher(build: BuildHarness, api: Api) -> None:
    house = await build(rules=CACHED)
    first = await house.ask(api, temperature=0)
    await once_kept(house)
    again = await house.ask(api, temperature=0)
    assert again.body == first.body
    assert (again.about["served-by"], again.about["reason"]) == ("cache", "cached")
    streamed = await house.ask(api, temperature=0, stream=True)
    assert (streamed.about["served-by"], streamed.headers["content-type"]) == (
        "cache",
        "text/event-stream; charset=utf-8",
    )
    assert b"teacher" in streamed.body
    assert len(house.teacher.asked) == 1
    events = await house.recorded()
    assert [(event.served_by, event.cost_usd > 0) for event in events] == [
        ("teacher", True),
        ("cache", False),
        ("cache", False),
    ]


async def test_a_streamed_answer_is_kept_too(build: BuildHarness) -> None:
    house = await build(rules=CACHED)
    for api in APIS:
        await house.ask(api, temperature=0, stream=True)
        await once_kept(house)
        assert (await house.ask(api, temperature=0)).about["served-by"] == "cache"
    async with house.openai() as ours:
        said: Any = [{"role": "user", "content": PROMPT}]
        answer = await ours.chat.completions.create(
            model="gpt-4o-mini", messages=said, temperature=0, extra_headers=TASK
        )
        assert answer.choices[0].message.content == "teacher's answer"
    assert len(house.teacher.asked) == 3


async def test_an_answer_never_crosses_from_one_tenant_to_another(build: BuildHarness) -> None:
    house = await build(rules={**CACHED, "tenants": TENANTS})
    for key in (SHOP, BANK):
        await house.ask("chat", key=key, temperature=0)
        await once_kept(house)
        assert (await house.ask("chat", key=key, temperature=0)).about["served-by"] == "cache"
    assert len(house.teacher.asked) == 2


@pytest.mark.parametrize("word", [{"X-Understudies-Cache": "no"}, {"Cache-Control": "no-store"}])
async def test_a_caller_may_have_nothing_to_do_with_the_cache(build: BuildHarness, word: dict[str, str]) -> None:
    house = await build(rules=CACHED)
    await house.ask("chat", temperature=0)
    await once_kept(house)
    assert (await house.ask("chat", temperature=0, headers=word)).about["served-by"] == "teacher"


@pytest.mark.parametrize("different", [{}, {"temperature": 0.5}, {"temperature": 0, "n": 2}])
async def test_what_is_not_repeatable_is_asked_each_time(build: BuildHarness, different: dict[str, Any]) -> None:
    house = await build(rules=CACHED)
    for _ in range(2):
        await house.ask("chat", **different)
        await once_kept(house)
    assert len(house.teacher.asked) == 2


async def test_nothing_but_whole_answers_is_kept(build: BuildHarness) -> None:
    house = await build(rules=CACHED)
    for mood in ("fail", "truncate", "odd", "error_event", "reset"):
        house.teacher.mood = mood
        await house.ask("chat", temperature=0, stream=True)
        await once_kept(house)
    house.teacher.mood = "answer"
    assert (await house.ask("chat", temperature=0)).about["served-by"] == "teacher"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_beyond_its_budget_a_task_has_its_student_alone(build: BuildHarness, api: Api, stream: bool) -> None:
    house = await build(rules=SPENT, teachers=FLAT)
    assert (await house.ask(api, stream=stream)).status == 200
    refused = await house.ask(api, stream=stream)
    assert refused.status == 429
    kind = json.loads(refused.body)["error"]["type"]
    assert kind == "rate_limit_error"
    resets = datetime.fromisoformat(refused.about["budget-resets-at"])
    assert (resets.hour, resets.minute) == (0, 0)
    assert abs((resets - datetime.now(UTC)).total_seconds() - int(refused.headers["retry-after"])) < 30
    assert refused.about["reason"] == "over_budget"
    assert refused.headers["x-should-retry"] == "false"
    await house.promote()
    assert (await house.ask(api, stream=stream)).about["served-by"] == "student"
    house.student.reply = text_answer("a guess", 0.1)
    assert (await house.ask(api, stream=stream)).status == 429
    assert len(house.teacher.asked) == 1
    events = await house.recorded()
    assert [(event.served_by, event.route.reason if event.route else None) for event in events] == [
        ("teacher", "no_student"),
        ("none", "over_budget"),
        ("student", "promoted"),
        ("none", "over_budget"),
    ]


async def test_the_official_clients_do_not_try_again_until_tomorrow(build: BuildHarness) -> None:
    house = await build(rules=SPENT, teachers=FLAT)
    await house.ask("chat")
    said: Any = [{"role": "user", "content": PROMPT}]
    async with house.openai(max_retries=5) as ours, house.anthropic(max_retries=5) as theirs:
        with pytest.raises(openai.RateLimitError, match="budget"):
            await ours.chat.completions.create(model="m", messages=said, extra_headers=TASK)
        with pytest.raises(anthropic.RateLimitError, match="budget"):
            await theirs.messages.create(model="m", max_tokens=9, messages=said, extra_headers=TASK)
    events = await house.recorded()
    assert [event.served_by for event in events] == ["teacher", "none", "none"]


async def test_a_tenant_that_has_spent_its_money_is_refused_and_others_are_not(build: BuildHarness) -> None:
    tenants = {**TENANTS, "shop": {**TENANTS["shop"], "daily_budget_usd": "0.001"}}
    house = await build(rules={"tenants": tenants}, teachers=FLAT)
    assert [(await house.ask("messages", key=SHOP)).status for _ in range(2)] == [200, 429]
    assert [(await house.ask("messages", key=BANK)).status for _ in range(3)] == [200] * 3


async def test_no_tenant_spends_the_budget_of_another(build: BuildHarness) -> None:
    tenants = {name: {**tenant, "daily_budget_usd": "0.001"} for name, tenant in TENANTS.items()}
    house = await build(rules={"tenants": tenants}, teachers=FLAT)
    for key in (SHOP, BANK):
        assert [(await house.ask("messages", key=key)).status for _ in range(2)] == [200, 429]


async def test_where_the_rules_say_so_the_student_is_refused_too(build: BuildHarness) -> None:
    rules = {"tasks": {"triage": {"daily_budget_usd": "0.0003", "over_budget": "refuse"}}}
    house = await build(rules=rules)
    await house.promote()
    assert [(await house.ask("chat")).status for _ in range(2)] == [200, 429]
    assert house.student.asked == 1


async def test_while_nobody_knows_what_is_spent_callers_are_told_to_ask_again_in_a_moment(build: BuildHarness) -> None:
    away = UnreliableOnlineState()
    away.disconnected = True
    house = await build(rules=SPENT, online=away)
    got = await house.ask("chat")
    assert (got.status, json.loads(got.body)["error"]["code"]) == (503, "budget_unknown")
    assert 1 <= int(got.headers["retry-after"]) <= 5
    assert "x-should-retry" not in got.headers
    assert "budget-resets-at" not in got.about
    (event,) = await house.recorded()
    assert event.route is not None
    assert event.route.reason == "over_budget"
    away.disconnected = False
    assert (await house.ask("chat")).status == 200


BOUNDED: dict[str, Any] = {"tasks": {"triage": {"daily_budget_usd": "100"}}}


@pytest.mark.parametrize("mood", ["cut", "reset", "truncate", "not_json", "page"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_teacher_took_and_did_not_deliver_is_counted(
    build: BuildHarness, mood: Behaviour, stream: bool
) -> None:
    house = await build(rules=BOUNDED, teachers={"teacher": {"price_usd": "1"}})
    house.teacher.mood = mood
    await house.ask("chat", stream=stream)
    event = await house.event()
    assert (event.served_by, event.cost_usd) == ("none", Decimal(1))
    assert await spent(house) == 1


async def test_so_is_what_a_teacher_was_still_at_when_the_patience_ended(build: BuildHarness) -> None:
    house = await build(rules=BOUNDED, teachers={"teacher": {"price_usd": "1", "timeouts": {"first_byte_s": 0.1}}})
    house.teacher.mood = "hang"
    assert (await house.ask("chat")).status == 504
    event = await house.event()
    assert (event.cost_usd, event.usage_estimated) == (Decimal(1), True)
    assert await spent(house) == 1


async def test_attempts_in_vain_are_counted_beside_the_answer(build: BuildHarness) -> None:
    house = await build(rules=BOUNDED, teachers={"teacher": {"price_usd": "1", "retries": {"max": 2, "base_s": 0.001}}})
    house.teacher.moods.extend(["cut", "unavailable"])
    assert (await house.ask("chat")).status == 200
    event = await house.event()
    assert (event.served_by, event.cost_usd, event.usage_estimated) == ("teacher", Decimal(2), True)
    assert await spent(house) == 2


async def test_a_stream_of_a_fallback_has_what_the_first_teacher_took_counted_too(build: BuildHarness) -> None:
    spare = {"models": ["none"], "price_usd": "3", "auth": "none"}
    house = await build(rules=BOUNDED, teachers={"teacher": {"price_usd": "1", "fallback": ["spare"]}, "spare": spare})
    house.teacher.mood = "page"
    assert (await house.ask("chat", stream=True)).status == 200
    event = await house.event()
    assert (event.served_by, event.cost_usd, event.usage_estimated) == ("teacher", Decimal(4), True)
    assert await spent(house) == 4


@pytest.mark.parametrize("mood", ["drop", "unavailable", "refuse", "limit"])
async def test_what_the_teacher_did_not_take_is_free(build: BuildHarness, mood: Behaviour) -> None:
    house = await build(rules=BOUNDED, teachers={"teacher": {"price_usd": "1"}})
    house.teacher.mood = mood
    await house.ask("chat")
    assert (await house.event()).cost_usd == 0
    assert await spent(house) == 0


async def spent(house: RouterHarness) -> Decimal:
    """What is spent of the one budget there is."""
    payments = house.app.call_service._budget
    assert isinstance(payments, EnforcedBudget)
    await payments._limiter.flush()
    (entry,) = payments._limiter._usage._usage.values()
    assert entry.held == 0
    return from_nanos(entry.spent)


async def test_a_critical_call_is_not_answered_from_the_cache(build: BuildHarness) -> None:
    house = await build(rules=CACHED)
    for _ in range(2):
        got = await house.ask("chat", temperature=0, headers={"X-Understudies-Critical": "true"})
        assert got.about["served-by"] == "teacher"
        await once_kept(house)
    assert (await house.ask("chat", temperature=0)).about["served-by"] == "cache"


async def test_what_is_held_for_a_call_outlasts_it_whatever_the_rules_say(build: BuildHarness) -> None:
    house = await build(rules={**BOUNDED, "router": {"request_timeout_s": 9000}})
    payments = house.app.call_service._budget
    assert isinstance(payments, EnforcedBudget)
    assert payments._limiter.lease_s > 9000
