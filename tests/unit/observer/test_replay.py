from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.event_samples import SAMPLES
from tests.support.sample_events import START, make_invocation, make_promotion
from tests.support.stores import open_migrated_store

from understudies.events import (
    INVOCATIONS,
    PROMOTIONS,
    TOPICS,
    Event,
    Topic,
    Usage,
    UsageDetails,
    encode,
    topic_of,
    usd,
)
from understudies.observer.replay import replay_since
from understudies.runtime.store import Store

BEFORE = datetime(1971, 1, 1, tzinfo=UTC)


async def put(store: Store, *events: Event) -> None:
    """Each event in a batch of its own."""
    for event in events:
        table = "gate_decisions" if getattr(event, "type", "") == "gate_decision" else topic_of(event).name
        await store.insert(table, [encode(event)])


async def back(
    store: Store, since: datetime = BEFORE, topics: tuple[Topic, ...] = TOPICS, most: int = 2000
) -> list[Event]:
    return [event async for events in replay_since(store, since, topics, max_events=most) for event in events]


async def test_every_event_comes_back_as_it_was_in_the_order_in_which_it_was_stored() -> None:
    events = list(SAMPLES.values())
    async with open_migrated_store() as store:
        await put(store, *events)
        assert await back(store) == events


async def test_what_later_versions_brought_comes_back_too() -> None:
    levels = {"levels": ((0.95, 0.75), (0.98, 0.875))}
    came = {"usage_estimated": True, "api": "messages", "streamed": True, "hung_up": True, "free": True}
    came["training_only"] = True
    news: dict[str, dict[str, Any]] = {"promotion": levels, "gate_decision": levels, "invocation": came}
    events = [SAMPLES[name].model_copy(update=fields) for name, fields in news.items()]
    async with open_migrated_store() as store:
        await put(store, *events)
        assert await back(store) == events


@pytest.mark.parametrize("details", [None, UsageDetails(stated_cost_usd=usd(0)), UsageDetails(service_tier="flex")])
async def test_what_has_a_price_of_its_own_comes_back_only_where_something_has(details: UsageDetails | None) -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=1, details=details)
    call = SAMPLES["invocation"].model_copy(update={"usage": usage})
    async with open_migrated_store() as store:
        await put(store, call)
        assert await back(store) == [call]


async def test_only_the_topics_asked_for_come_back() -> None:
    async with open_migrated_store() as store:
        await put(store, *SAMPLES.values())
        assert await back(store, topics=(PROMOTIONS,)) == [SAMPLES["promotion"], SAMPLES["steering"]]


@pytest.mark.parametrize("most", [1, 2, 5, 100])
async def test_pages_neither_lose_nor_repeat(most: int) -> None:
    calls = [make_invocation(f"call {number}", at=START + timedelta(seconds=number)) for number in range(7)]
    stories = [make_promotion("authorised", version=number) for number in range(1, 4)]
    async with open_migrated_store() as store:
        await store.insert("invocations", [encode(call) for call in calls])
        await put(store, *stories)
        assert await back(store, most=most) == [*calls, *stories]


async def test_an_event_stored_before_the_moment_stays_out() -> None:
    first, second = make_invocation("first"), make_invocation("second")
    async with open_migrated_store() as store:
        await put(store, first)
        (row,) = await store.query("SELECT stored_at FROM invocations")
        await put(store, second)
        assert await back(store, row["stored_at"] + timedelta(microseconds=1), (INVOCATIONS,)) == [second]


async def test_a_call_comes_before_its_audit_and_a_stage_before_the_next() -> None:
    call = make_invocation(id="z")
    audit = call.model_copy(update={"id": "a", "origin": "audit", "audits": "z"})
    trained, collected = make_promotion("trained"), make_promotion("collected")
    async with open_migrated_store() as store:
        await store.insert("invocations", [encode(audit), encode(call)])
        assert trained.id < collected.id
        await store.insert("promotions", [encode(trained), encode(collected)])
        assert await back(store) == [call, audit, collected, trained]
