"""The successor of a teacher that is to be retired, asked by a whole router about part of the calls."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.fake_teacher_responses import Api
from tests.support.redis_server import RedisServer
from tests.support.router_fixtures import word_for
from tests.support.router_harness import APIS, BuildHarness, RouterHarness, router_harnesses

from understudies.events import Invocation, position
from understudies.runtime.online.factory import create_online_state

TODAY = datetime.now(UTC).date()
MODELS: dict[Api, str] = {"chat": "gpt-4o-mini", "responses": "gpt-4o-mini", "messages": "claude-sonnet"}


def retiring(days: float = 10, **table: Any) -> dict[str, dict[str, Any]]:
    """A teacher whose models are retired so many days from today, and have a successor."""
    models = set(MODELS.values())
    on = TODAY + timedelta(days=days)
    known = {"retires": dict.fromkeys(models, on), "successors": dict.fromkeys(models, "the-next-one")}
    return {"teacher": {**known, **table}}


EVERY_CALL: dict[str, Any] = {"defaults": {"succession_sample": 1.0}}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


def asked_models(house: RouterHarness) -> list[str]:
    return [body["model"] for body in house.teacher.asked]


async def successions(house: RouterHarness) -> list[Invocation]:
    return [event for event in await house.recorded() if event.origin == "succession"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
async def test_a_call_that_the_student_served_is_asked_of_the_successor_too(
    build: BuildHarness, api: Api, stream: bool
) -> None:
    house = await build(teachers=retiring(), rules=EVERY_CALL)
    await house.promote(threshold=0.5)
    got = await house.ask(api, stream=stream)
    assert (got.status, got.about["served-by"]) == (200, "student")
    [event] = await successions(house)
    [live] = [one for one in await house.recorded() if one.origin == "live"]
    assert asked_models(house) == ["the-next-one"], "the teacher itself is not asked"
    assert not house.teacher.asked[0].get("stream")
    assert (event.audits, event.at, event.fingerprint) == (live.id, live.at, live.fingerprint)
    assert (event.served_by, event.student, event.answered_by_teacher) == ("teacher", None, False)
    assert event.cost_usd > 0
    assert event.response is not None
    assert event.response.message.text == "teacher's answer"


async def test_a_call_that_the_teacher_served_is_drawn_by_its_id_alone(build: BuildHarness) -> None:
    house = await build(teachers=retiring(), rules={"defaults": {"succession_sample": 0.4}})
    await house.promote(threshold=1.0)
    for _ in range(40):
        await house.ask("chat")
    live = [event for event in await house.recorded() if event.origin == "live"]
    drawn = {event.audits for event in await successions(house)}
    assert drawn == {event.id for event in live if position(event.id, "succession") < 0.4}
    assert {event.route.reason for event in live if event.route} == {"low_confidence"}


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (retiring(31), EVERY_CALL),
        (retiring(0), EVERY_CALL),
        (retiring(10, successors={}), EVERY_CALL),
        (retiring(10, retires={}), EVERY_CALL),
        (retiring(10), {"defaults": {"succession_sample": 1.0, "succession_days": 0}}),
        (retiring(10), {"defaults": {"succession_sample": 1.0, "critical": True}}),
        (retiring(10), {"defaults": {"succession_sample": 1.0, "students": []}}),
    ],
)
async def test_the_successor_is_asked_in_time_where_one_is_named_and_a_student_may_serve(
    build: BuildHarness, table: dict[str, Any], rules: dict[str, Any]
) -> None:
    house = await build(teachers=table, rules=rules)
    await house.promote(threshold=0.5)
    await house.ask("chat")
    assert await successions(house) == []


async def test_nothing_is_asked_for_a_task_without_a_student(build: BuildHarness) -> None:
    house = await build(teachers=retiring(), rules=EVERY_CALL)
    await house.ask("chat")
    assert await successions(house) == []
    assert asked_models(house) == ["gpt-4o-mini"]


async def test_a_successor_that_fails_is_never_replaced_by_another_teacher(build: BuildHarness) -> None:
    tables = {**retiring(fallback=["spare"]), "spare": {"auth": "none", "models": ["other"]}}
    house = await build(teachers=tables, rules=EVERY_CALL)
    await house.promote(threshold=0.5)
    house.teacher.mood = "unavailable"
    await house.ask("chat")
    [event] = await successions(house)
    assert (event.served_by, event.model, event.response) == ("none", "the-next-one", None)
    assert house.teachers["spare"].asked == []


async def test_the_successor_is_asked_within_the_budget_of_the_task_alone() -> None:
    async with RedisServer() as server, router_harnesses() as build:
        house = await build(
            online=create_online_state(server.url),
            teachers=retiring(price_usd="0.004"),
            rules={"defaults": {"succession_sample": 1.0}, "tasks": {"triage": {"daily_budget_usd": "0.01"}}},
            student_price_usd="0",
        )
        await house.promote(threshold=0.5)
        for number in range(5):
            question = {"role": "user", "content": f"Where is my {word_for(number)}?"}
            assert (await house.ask("chat", messages=[question])).about["served-by"] == "student"
            await house.recorded()
        assert len(await successions(house)) == 2
        assert asked_models(house) == ["the-next-one"] * 2


@pytest.mark.parametrize(
    ("table", "asked"),
    [
        (retiring(0), "the-next-one"),
        (retiring(1), "gpt-4o-mini"),
        (retiring(0, successors={}), "gpt-4o-mini"),
        (retiring(0, retires=dict.fromkeys(MODELS.values(), "never")), "gpt-4o-mini"),
    ],
)
async def test_an_audit_asks_the_successor_once_the_teacher_is_retired(
    build: BuildHarness, table: dict[str, Any], asked: str
) -> None:
    house = await build(teachers=table, rules={"defaults": {"succession_days": 0}})
    await house.promote(threshold=0.5, audit_rate=1.0)
    assert (await house.ask("chat")).about["served-by"] == "student"
    [audit] = [event for event in await house.recorded() if event.origin == "audit"]
    assert asked_models(house) == [asked]
    assert audit.served_by == "teacher"
