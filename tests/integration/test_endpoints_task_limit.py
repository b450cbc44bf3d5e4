"""Agents that name a new task with every call: bounded, answered, and never by a student."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.router_fixtures import make_promotion
from tests.support.router_harness import BuildHarness, RawResponse, RouterHarness, router_harnesses

from understudies.runtime.rules.api_keys import generate_key, key_hash


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


async def asked(house: RouterHarness, task: str, **fields: Any) -> RawResponse:
    return await house.ask("chat", headers={"X-Understudies-Task": task}, **fields)


async def test_further_tasks_share_one_that_the_teacher_answers(build: BuildHarness) -> None:
    house = await build(max_tasks=2)
    await house.publish(
        make_promotion(),
        make_promotion(student="too-many-tasks@1").model_copy(update={"task": "too-many-tasks"}),
    )
    answers = [await asked(house, task) for task in ("a", "b", "call-1", "call-2", "a", "triage")]
    assert [answer.status for answer in answers] == [200] * 6
    shown = [answer.about["task"] for answer in answers]
    assert shown == ["a", "b", "too-many-tasks", "too-many-tasks", "a", "triage"]
    # Not even where somebody has promoted a student of what nobody could tell apart.
    assert [answer.about["served-by"] for answer in answers] == ["teacher"] * 5 + ["student"]
    assert [event.task for event in await house.recorded()] == shown


async def test_tasks_with_rules_are_never_too_many(build: BuildHarness) -> None:
    rules = {"tasks": {"ruled": {"daily_budget_usd": "0.5"}}}
    house = await build(rules=rules, max_tasks=1, critical_tasks=frozenset({"grave"}))
    shown = [(await asked(house, task)).about["task"] for task in ("a", "b", "ruled", "grave")]
    assert shown == ["a", "too-many-tasks", "ruled", "grave"]


async def test_a_tenant_takes_no_other_tenants_places_and_its_tasks_stay_its_own(build: BuildHarness) -> None:
    acme, bank = generate_key(), generate_key()
    tenants = {name: {"keys": [key_hash(key)], "own_tasks": True} for name, key in (("acme", acme), ("bank", bank))}
    house = await build(rules={"tenants": tenants, "tasks": {"known": {"cache_ttl_s": 60}}}, max_tasks=1)
    for key in (acme, bank):
        for task in ("a", "b", "known"):
            assert (await asked(house, task, key=key)).status == 200
    tasks = [event.task for event in await house.recorded()]
    assert tasks == [f"{tenant}:{task}" for tenant in tenants for task in ("a", "too-many-tasks", "known")]
