"""Tasks of one tenant alone, end to end."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.router_fixtures import make_promotion
from tests.support.router_harness import PROMPT, BuildHarness, RawResponse, RouterHarness, router_harnesses

from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.source import RulesSource
from understudies.students.base import text_answer

ACME, BANK, SHOP = generate_key(), generate_key(), generate_key()
TENANTS: dict[str, Any] = {
    "acme": {"keys": [key_hash(ACME)], "own_tasks": True, "tasks": ["tri*", "auto-*"]},
    "bank": {"keys": [key_hash(BANK)], "own_tasks": ["triage"]},
    "shop": {"keys": [key_hash(SHOP)]},
}
RULES: dict[str, Any] = {"tenants": TENANTS}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


async def asked(house: RouterHarness, key: str, task: str = "triage", **fields: Any) -> RawResponse:
    return await house.ask("chat", key=key, headers={"X-Understudies-Task": task}, **fields)


def own_promotion(task: str, **fields: Any) -> Any:
    return make_promotion(student=f"{task}@1", **fields).model_copy(update={"task": task})


async def test_the_same_name_from_two_tenants_is_two_tasks(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    shown = [(await asked(house, key)).about["task"] for key in (ACME, BANK, SHOP)]
    shown.append((await asked(house, ACME, "acme:triage")).about["task"])
    assert shown == ["triage"] * 4
    assert [event.task for event in await house.recorded()] == ["acme:triage", "bank:triage", "triage", "acme:triage"]


async def test_what_is_discovered_is_the_tenants_own_too(build: BuildHarness) -> None:
    house = await build(rules={"tenants": {**TENANTS, "acme": {"keys": [key_hash(ACME)], "own_tasks": True}}})
    body = {"model": "m", "messages": [{"role": "system", "content": "Sort."}, {"role": "user", "content": PROMPT}]}
    for key in (ACME, SHOP):
        await house.send("POST", "/v1/chat/completions", json=body, authorization=f"Bearer {key}")
    own, shared = await house.recorded()
    assert own.task == f"acme:{shared.task}"


async def test_a_student_of_one_tenant_serves_it_alone(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    await house.publish(own_promotion("acme:triage"))
    assert [(await asked(house, key)).about["served-by"] for key in (ACME, BANK, SHOP)] == [
        "student",
        "teacher",
        "teacher",
    ]
    house.student.reply = text_answer("shared", 0.99)
    await house.publish(own_promotion("triage"))
    assert [(await asked(house, key)).about["served-by"] for key in (BANK, SHOP)] == ["teacher", "student"]


async def test_nobody_else_may_name_it(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    for key, task in ((SHOP, "acme:triage"), (BANK, "acme:triage"), (SHOP, "bank:anything")):
        got = await asked(house, key, task)
        assert (got.status, json.loads(got.body)["error"]["code"]) == (403, "task_not_allowed")
    by_model = await house.ask("chat", key=SHOP, model="understudies/acme:triage", headers={"X-Understudies-Task": ""})
    assert by_model.status in (400, 403)
    unreadable = {"model": "m", "messages": [{"role": "critic", "content": "x"}]}
    sent: dict[str, Any] = {"authorization": f"Bearer {SHOP}", "X-Understudies-Task": "acme:triage"}
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert (await house.send("POST", path, json=unreadable, **sent)).status == 403
    assert (house.teacher.asked, house.teacher.passed) == ([], [])


async def test_what_a_tenant_may_call_is_said_in_its_own_words(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    assert [(await asked(house, ACME, task)).status for task in ("triage", "acme:triage", "other", "acme:other")] == [
        200,
        200,
        403,
        403,
    ]


async def test_a_name_that_gets_too_long_is_refused(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    assert (await asked(house, ACME, "tri" + "x" * 192)).status == 200
    got = await asked(house, ACME, "tri" + "x" * 193)
    assert (got.status, b"too long" in got.body) == (400, True)


async def test_the_list_of_models_has_a_tenants_own_tasks_by_its_own_names(build: BuildHarness) -> None:
    house = await build(rules=RULES)
    await house.publish(
        *(own_promotion(task) for task in ("acme:triage", "acme:other", "bank:triage", "triage", "letters"))
    )
    shown = {}
    for name, key in (("acme", ACME), ("bank", BANK), ("shop", SHOP)):
        listed = json.loads((await house.send("GET", "/v1/models", authorization=f"Bearer {key}")).body)["data"]
        shown[name] = [one["id"] for one in listed if one["id"].startswith("understudies/")]
    assert shown == {
        "acme": ["understudies/triage"],
        "bank": ["understudies/triage", "understudies/letters"],
        "shop": ["understudies/letters", "understudies/triage"],
    }
    page = await house.send("GET", "/v1/models/understudies/acme:triage", authorization=f"Bearer {SHOP}")
    assert page.status == 404


async def test_each_has_the_daily_budget_of_the_name_for_itself(build: BuildHarness) -> None:
    rules = {**RULES, "tasks": {"triage": {"daily_budget_usd": "0.001"}}}
    house = await build(rules=rules, teachers={"teacher": {"price_usd": "0.0006"}})
    for key in (ACME, BANK, SHOP):
        assert [(await asked(house, key)).status for _ in range(2)] == [200, 429]


async def test_what_is_critical_by_name_is_so_for_it(build: BuildHarness) -> None:
    for told in ({"critical_tasks": ["triage"]}, {"rules": {**RULES, "tasks": {"triage": {"critical": True}}}}):
        house = await build(**{"rules": RULES, **told})
        await house.publish(own_promotion("acme:triage"))
        assert (await asked(house, ACME)).about["reason"] == "critical"


async def test_it_holds_from_the_next_call_on(build: BuildHarness, tmp_path: Path) -> None:
    file = tmp_path / "understudies.toml"
    sources: list[RulesSource] = []

    def written(told: Mapping[str, Any], own: str) -> None:
        url = told["teachers"]["teacher"]["base_url"]
        file.write_text(
            f'[teachers.teacher]\nbase_url = "{url}"\n[tenants.acme]\nkeys = ["{key_hash(ACME)}"]\nown_tasks = {own}\n'
        )

    def source(told: Mapping[str, Any]) -> RulesSource:
        written(told, "false")
        sources.append(RulesSource(path=file))
        written(told, "true")
        return sources[0]

    house = await build(source=source)
    await asked(house, ACME)
    assert sources[0].reload()
    await asked(house, ACME)
    assert [event.task for event in await house.recorded()] == ["triage", "acme:triage"]
