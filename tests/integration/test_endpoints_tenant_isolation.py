"""What one tenant sends through the router reaches no other, where they share a teacher's key, a router, a Redis."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from tests.support.redis_server import RedisServer
from tests.support.router_fixtures import make_promotion
from tests.support.router_harness import APIS, BuildHarness, RawResponse, RouterHarness, router_harnesses

from understudies.runtime.online.factory import create_online_state
from understudies.runtime.rules.api_keys import generate_key, key_hash

ACME, BOLT = generate_key(), generate_key()
OWN_KEY = "sk-tenants-own-0123456789abcdefgh"
TENANTS: dict[str, Any] = {
    "acme": {"keys": [key_hash(ACME)], "own_tasks": True, "own_teacher_key": True},
    "bolt": {"keys": [key_hash(BOLT)], "own_tasks": True},
}
RULES: dict[str, Any] = {"tenants": TENANTS}
STORED: list[dict[str, Any]] = [
    {"previous_response_id": "resp_1"},
    {"conversation": "conv_1"},
    {"conversation": {"id": "conv_1"}},
    {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
    {"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}]},
    {"input": [{"id": "msg_1"}]},
]


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


async def all_keys(url: str) -> set[str]:
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        return {key async for key in client.scan_iter()}


def code_of(got: RawResponse) -> tuple[int, str]:
    return got.status, json.loads(got.body)["error"]["code"]


async def unnamed(house: RouterHarness, key: str, system: str) -> str:
    """The task that is found by a system prompt, as the caller is told."""
    said = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
    got = await house.send(
        "POST", "/v1/chat/completions", json={"model": "m", "messages": said}, authorization=f"Bearer {key}"
    )
    assert got.status == 200
    return got.about["task"]


async def test_the_same_idempotency_key_of_two_tenants_is_two_for_the_teacher(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    for key in (ACME, BOLT, ACME):
        assert (await house.ask("chat", key=key, headers={"Idempotency-Key": "1"})).status == 200
    first, other, again = (headers["idempotency-key"] for headers in house.teacher.headers)
    assert first == again != other
    body = {"model": "e", "input": "x"}
    for key in (ACME, BOLT):
        sent: dict[str, Any] = {"authorization": f"Bearer {key}", "Idempotency-Key": "1"}
        assert (await house.send("POST", "/v1/embeddings", json=body, **sent)).status == 200
    assert [one.headers["idempotency-key"] for one in house.teacher.passed] == [first, other]


@pytest.mark.parametrize("named", STORED)
async def test_what_the_teacher_stored_is_out_of_reach_where_tenants_share_its_key(
    build: BuildHarness, named: dict[str, Any]
) -> None:
    house = await build(rules=RULES, teachers={"teacher": {"api_key": "sk-operators"}})
    for headers in ({}, {"X-Understudies-Teacher-Key": OWN_KEY}):
        assert code_of(await house.ask("responses", key=ACME, headers=headers, **named)) == (403, "shared_account")
    assert house.teacher.asked == []


async def test_a_container_of_anthropic_is_out_of_reach_too(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    for container, refused in (("container_1", True), ({"id": "container_1"}, True), ({"skills": []}, False)):
        assert (await house.ask("messages", key=BOLT, container=container)).status == (403 if refused else 200)


async def test_an_unreadable_body_does_not_get_around_it(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    got = await house.ask("responses", key=BOLT, previous_response_id="resp_1", unread=True, input=7)
    assert code_of(got) == (403, "shared_account")
    assert house.teacher.passed == []


async def test_who_has_an_account_alone_continues_what_is_stored_in_it(build: BuildHarness) -> None:
    stored: dict[str, Any] = {"previous_response_id": "resp_1"}
    house = await build(rules=RULES)
    got = await house.ask("responses", key=ACME, headers={"X-Understudies-Teacher-Key": OWN_KEY}, **stored)
    assert got.status == 200
    for alone in ({}, {"tenants": {"acme": TENANTS["acme"]}}):
        house = await build(rules=alone, teachers={"teacher": {"api_key": "sk-operators"}})
        assert (await house.ask("responses", key=ACME if alone else "sk-any", **stored)).status == 200


async def test_callers_without_a_key_share_the_account_with_a_tenant(build: BuildHarness) -> None:
    rules = {"tenants": {"acme": TENANTS["acme"]}, "router": {"require_key": False}}
    house = await build(rules=rules, teachers={"teacher": {"api_key": "sk-operators"}})
    got = await house.ask("responses", key="sk-any", previous_response_id="resp_1")
    assert code_of(got) == (403, "shared_account")


async def test_the_student_of_a_tenant_that_left_serves_nobody_else(build: BuildHarness) -> None:
    house = await build(rules={"tenants": {"bolt": TENANTS["bolt"], "shop": {"keys": [key_hash(ACME)]}}})
    await house.publish(make_promotion(student="acme:triage@1").model_copy(update={"task": "acme:triage"}))
    for key in (ACME, BOLT):
        got = await house.ask("chat", key=key, headers={"X-Understudies-Task": "acme:triage"})
        assert code_of(got) == (403, "task_not_allowed")
        listed = json.loads((await house.send("GET", "/v1/models", authorization=f"Bearer {key}")).body)["data"]
        assert not [one["id"] for one in listed if "acme" in one["id"]]


async def test_a_table_of_the_rules_shares_a_task_whose_name_has_a_colon(build: BuildHarness) -> None:
    house = await build(rules={"tenants": {"shop": {"keys": [key_hash(ACME)]}}, "tasks": {"support:triage": {}}})
    for task, status in (("support:triage", 200), ("support:other", 403)):
        got = await house.ask("chat", key=ACME, headers={"X-Understudies-Task": task})
        assert got.status == status


async def test_what_one_tenant_sends_does_not_name_the_tasks_of_another(build: BuildHarness) -> None:
    told = "Sort the message of the customer into one of the queues that follow, and say nothing else about {}."
    names = [f"{one}{other} {other}{one}" for one in ("amber", "cedar", "delta", "lemon") for other in "stuvwx"]
    house = await build(rules=RULES)
    for name in names:
        await unnamed(house, ACME, told.format(name))
    assert await unnamed(house, ACME, told.format("quartz qualm")) == await unnamed(
        house, ACME, told.format("zinc zoo")
    )
    assert await unnamed(house, BOLT, told.format("quartz qualm")) != await unnamed(
        house, BOLT, told.format("zinc zoo")
    )


async def test_all_that_is_kept_in_redis_is_named_by_hashes_or_by_its_owner(build: BuildHarness) -> None:
    rules = {
        "tenants": {name: {**tenant, "daily_budget_usd": "9"} for name, tenant in TENANTS.items()},
        "defaults": {"cache_ttl_s": 60, "daily_budget_usd": "9"},
    }
    async with RedisServer() as server:
        house = await build(rules=rules, online=create_online_state(server.url), teachers={"teacher": {"price_usd": 1}})
        found = {}
        for key in (ACME, BOLT):
            for api in APIS:
                await house.ask(api, key=key, temperature=0, headers={"X-Understudies-Episode": "7"})
            await house.app.call_service.wait_idle()
            cache = house.app.call_service._response_cache._store
            assert cache is not None
            await cache.wait_idle()
            found[key] = await all_keys(server.url)
    own = found[BOLT] - found[ACME]
    # As many keys again: the second tenant found nothing of the first.
    assert len(own) == len(found[ACME]) > 5
    assert not [key for key in own if "acme" in key]
