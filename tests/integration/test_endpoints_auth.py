"""Tenants and their keys, end to end: who is refused and how, and where keys and prompts never turn up."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.support.fake_teacher import refusing_address
from tests.support.fake_teacher_responses import Api
from tests.support.router_harness import APIS, PROMPT, TASK, BuildHarness, RawResponse, RouterHarness, router_harnesses

from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.source import RulesSource
from understudies.students.base import StudentError

SHOP, BANK, TEACHERS = generate_key(), generate_key(), "sk-teachers-own-0123456789abcdefgh"
TENANTS: dict[str, Any] = {
    "tenants": {
        "shop": {"keys": [key_hash(SHOP)], "tasks": ["triage"]},
        "bank": {"keys": [key_hash(BANK)], "own_teacher_key": True},
    },
    "router": {"max_body_bytes": 20_000},
}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


def in_shape(api: Api, got: RawResponse, kind: str, words: str) -> None:
    """See that an error has the shape of an API."""
    body = json.loads(got.body)
    assert body["error"]["type"] == kind
    assert words in body["error"]["message"]
    if api == "messages":
        assert body["type"] == "error"
    else:
        assert body["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("api", APIS)
async def test_who_may_not_is_told_in_the_shape_of_the_api(build: BuildHarness, api: Api) -> None:
    house = await build(rules=TENANTS)
    got = await house.ask(api, key="")
    assert (got.status, got.headers["www-authenticate"]) == (401, 'Bearer realm="understudies"')
    in_shape(api, got, "authentication_error", "needs a key")
    got = await house.ask(api, key=generate_key())
    assert got.status == 401
    in_shape(api, got, "authentication_error", "not known here")
    got = await house.ask(api, key=SHOP, headers={"X-Understudies-Task": "billing"})
    assert got.status == 403
    in_shape(api, got, "permission_error", "may not call the task 'billing'")
    got = await house.ask(api, key=SHOP, user="x" * 30_000)
    assert got.status == 413
    in_shape(api, got, "request_too_large" if api == "messages" else "invalid_request_error", "larger than 20000")
    got = await house.ask(api, key=SHOP)
    assert got.status == 200
    assert (await house.event()).tenant == "shop"
    assert len(house.teacher.asked) == 1


async def test_the_official_clients_raise_what_they_raise_of_the_provider(build: BuildHarness) -> None:
    house = await build(rules=TENANTS)
    said: Any = [{"role": "user", "content": PROMPT}]
    refusals: list[tuple[str, Mapping[str, str], str]] = [
        (generate_key(), TASK, "AuthenticationError"),
        (SHOP, {"X-Understudies-Task": "billing"}, "PermissionDeniedError"),
    ]
    for key, headers, name in refusals:
        async with house.openai(api_key=key) as ours, house.anthropic(api_key=key) as theirs:
            with pytest.raises(getattr(openai, name)):
                await ours.chat.completions.create(model="m", messages=said, extra_headers=headers)
            with pytest.raises(getattr(anthropic, name)):
                await theirs.messages.create(model="m", max_tokens=9, messages=said, extra_headers=headers)


async def test_a_tenant_with_certain_tasks_may_not_go_around_them(build: BuildHarness) -> None:
    house = await build(rules=TENANTS)
    got = await house.send("POST", "/v1/embeddings", json={"model": "e", "input": "x"}, authorization=f"Bearer {SHOP}")
    assert got.status == 403
    assert house.teacher.passed == []
    listed = await house.send("GET", "/v1/models", authorization=f"Bearer {SHOP}")
    assert listed.status == 200


@pytest.mark.parametrize("carrier", ["authorization", "x-api-key", "api-key"])
async def test_a_tenants_key_reaches_no_teacher_in_whatever_header_it_comes(build: BuildHarness, carrier: str) -> None:
    house = await build(rules=TENANTS)
    value = f"Bearer {BANK}" if carrier == "authorization" else BANK
    for path, body in (
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/chat/completions", {"model": "m", "unread": True}),
        ("/v1/embeddings", {"model": "e", "input": "x"}),
    ):
        got = await house.send("POST", path, json=body, **dict[str, Any]({carrier: value, **TASK}))
        assert got.status == 200
    await house.send("GET", "/v1/models", **dict[str, Any]({carrier: value}))
    seen = [*house.teacher.headers, *(one.headers for one in house.teacher.passed)]
    assert len(seen) == 4
    assert BANK not in json.dumps(seen)


async def test_a_tenant_that_may_brings_the_teachers_key(build: BuildHarness) -> None:
    house = await build(rules=TENANTS)
    await house.ask("chat", key=BANK, headers={"X-Understudies-Teacher-Key": TEACHERS})
    (headers,) = house.teacher.headers
    assert headers["authorization"] == f"Bearer {TEACHERS}"
    assert "x-understudies-teacher-key" not in headers
    got = await house.ask("chat", key=SHOP, headers={"X-Understudies-Teacher-Key": TEACHERS})
    assert got.status == 403


async def test_neither_keys_nor_prompts_are_ever_logged(build: BuildHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with refusing_address() as url:
        house = await build(
            rules=TENANTS,
            teachers={
                "teacher": {"api_key": TEACHERS, "retries": {"max": 1, "base_s": 0.001}, "fallback": ["away"]},
                "away": {"base_url": url, "auth": "none", "models": ["none"]},
            },
        )
        await house.promote()
        for mood in ("answer", "fail", "unauthorized", "html", "reset", "not_json", "truncate", "error_event", "odd"):
            house.teacher.mood = mood
            for api in APIS:
                for stream in (False, True):
                    house.student.reply = StudentError("out of memory")
                    await house.ask(api, key=SHOP, stream=stream)
        house.student.reply = ValueError(PROMPT)
        await house.ask("chat", key=SHOP)
        await house.ask("chat", key=BANK + "x")
        await house.send("POST", "/v1/chat/completions", data=PROMPT.encode(), authorization=f"Bearer {SHOP}")
        events = await house.recorded()
    kept = caplog.text + "".join(event.model_dump_json() for event in events)
    assert len(events) > 50
    for key in (SHOP, BANK, TEACHERS):
        assert key not in kept
    assert "harbour" not in caplog.text
    assert "teacher's answer" not in caplog.text
    ready = await house.send("GET", "/readyz")
    metrics = await house.send("GET", "/metrics")
    assert not any(secret.encode() in ready.body + metrics.body for secret in (SHOP, BANK, TEACHERS, "harbour"))


async def test_an_unforeseen_failure_is_told_without_its_text(
    build: BuildHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    house = await build()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(PROMPT)

    house.app.call_service.route_selector.decide = fail  # type: ignore[method-assign, assignment] # as a bug would
    for api in APIS:
        got = await house.ask(api)
        assert got.status == 500
        in_shape(api, got, "api_error" if api == "messages" else "server_error", "the router failed; its log says why")
    assert "failed with RuntimeError" in caplog.text
    assert "harbour" not in caplog.text


async def test_rules_that_change_hold_from_the_next_call_on(build: BuildHarness, tmp_path: Path) -> None:
    path = tmp_path / "understudies.toml"
    written: list[str] = []

    def source(told: Mapping[str, Any]) -> RulesSource:
        url = told["teachers"]["teacher"]["base_url"]
        written.append(f'[teachers.teacher]\nbase_url = "{url}"\nretries = {{ max = 0 }}\n')
        path.write_text(written[0])
        sources.append(RulesSource(path=path))
        return sources[0]

    sources: list[RulesSource] = []
    house = await build(source=source)
    await house.promote()
    async with sources[0].watch(0.01):
        assert (await house.ask("chat")).about["served-by"] == "student"
        path.write_text(written[0] + "[tasks.triage]\ncritical = true\n")
        assert sources[0].reload()
        assert (await house.ask("chat")).about["reason"] == "critical"
        path.write_text("[tasks.triage\ncritical = false\n")
        assert not sources[0].reload()
        assert (await house.ask("chat")).about["reason"] == "critical"
        ready = json.loads((await house.send("GET", "/readyz")).body)
        assert (ready["status"], "understudies.toml" in ready["rules_refused"]) == ("ready", True)
        path.write_text(written[0])
        assert sources[0].reload()
        assert json.loads((await house.send("GET", "/readyz")).body)["rules_refused"] is None
        assert (await house.ask("chat")).about["served-by"] == "student"


async def test_a_call_under_way_goes_on_by_the_rules_it_began_with(build: BuildHarness, tmp_path: Path) -> None:
    path = tmp_path / "understudies.toml"
    sources: list[RulesSource] = []

    def source(told: Mapping[str, Any]) -> RulesSource:
        path.write_text(f'[teachers.teacher]\nbase_url = "{told["teachers"]["teacher"]["base_url"]}"\n')
        sources.append(RulesSource(path=path))
        return sources[0]

    house = await build(source=source)
    house.teacher.hold_after = 3
    stream = await begun(house)
    path.write_text('[teachers.other]\nbase_url = "http://127.0.0.1:9/v1"\n')
    assert sources[0].reload()
    house.teacher.release.set()
    assert b"".join([piece async for piece in stream]).endswith(b"data: [DONE]\n\n")
    assert (await house.ask("chat")).status == 502


async def begun(house: RouterHarness) -> AsyncIterator[bytes]:
    """A stream of which the first piece has come."""
    client = house.openai()
    raw = client.chat.completions.with_streaming_response.create(
        model="m", messages=[{"role": "user", "content": PROMPT}], stream=True, extra_headers=TASK
    )
    entered = await raw.__aenter__()

    async def rest() -> AsyncIterator[bytes]:
        async for piece in entered.iter_bytes():
            yield piece
        await raw.__aexit__(None, None, None)
        await client.close()

    return rest()


@pytest.mark.parametrize("api", APIS)
async def test_the_task_in_the_metadata_is_the_routers_alone(build: BuildHarness, api: Api) -> None:
    house = await build()
    await house.ask(api, headers={"X-Understudies-Task": "triage"}, metadata={"task": "other", "kept": "1"})
    assert house.teacher.asked[0]["metadata"] == {"kept": "1"}
    house.teacher.asked.clear()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "metadata": {"task": "other"}})
    got = await house.send("POST", "/v1/chat/completions", data=body.encode())
    assert got.about["task"] == "other"
    assert "metadata" not in house.teacher.asked[0]


@pytest.mark.parametrize("api", APIS)
async def test_a_model_may_name_a_task(build: BuildHarness, api: Api) -> None:
    house = await build(rules={"tasks": {"triage": {"model": "gpt-real"}}})
    await house.promote(share=0.0)
    got = await house.ask(api, headers={"X-Understudies-Task": "triage"}, model="understudies/triage")
    assert (got.status, house.teacher.asked[0]["model"]) == (200, "gpt-real")
    got = await house.ask(api, model="understudies/unknown", headers={"X-Understudies-Task": "unknown"})
    assert got.status == 400
    assert b"no teacher's model is set" in got.body
