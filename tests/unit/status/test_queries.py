"""What happened to the tasks, from a store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.sample_events import START, event_ids, make_invocation, make_promotion
from tests.support.stores import open_migrated_store

from understudies.console.reads.students import MAX_EVENTS, fetch_drift, fetch_promotions
from understudies.economics.prices import call_cost
from understudies.events import Drift, Event, GateDecision, Route, Steering, Usage, encode, steer, usd
from understudies.observer.totals import refresh_totals
from understudies.runtime.store import Store
from understudies.status.queries import (
    MAX_STORY_EVENTS,
    describe_price_source,
    fetch_calls_since,
    fetch_last_decisions,
    fetch_price_sources,
    fetch_spending_today,
    fetch_story,
    start_of_day,
)
from understudies.status.standing import CallCounts

MINI = {"prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 0}


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with open_migrated_store() as opened:
        yield opened


async def insert(store: Store, table: str, *events: Event) -> None:
    await store.insert(table, [encode(event) for event in events])


def drift(**changes: Any) -> Drift:
    at = START + timedelta(minutes=changes.pop("minutes", 30))
    known: dict[str, Any] = {"tier": "contract", "confidence": 0.99, "statistic": 1, "audited": 40}
    return Drift(id=event_ids(at), at=at, task="triage", student="triage@1", **{**known, **changes})


async def test_calls_of_a_day_are_those_that_a_student_could_have_served(store: Store) -> None:
    yesterday = make_invocation(at=START - timedelta(days=1))
    served = make_invocation("b", served_by="student", student="triage@1", cost_usd=usd("0.0002"))
    others = [
        make_invocation("c", served_by="cache"),
        make_invocation("d", origin="audit"),
        make_invocation("e", origin="synthetic"),
        make_invocation("f", origin="succession"),
    ]
    await insert(store, "invocations", yesterday, make_invocation("a", cost_usd=usd("0.01")), served, served, *others)
    since = start_of_day(START)
    assert since == datetime(2025, 3, 3, tzinfo=UTC)
    await refresh_totals(store)
    assert await fetch_calls_since(store, since) == {"triage": CallCounts(calls=2, served=1)}


async def test_what_is_spent_today_is_told_by_task_and_tenant_with_its_audits(store: Store) -> None:
    calls = [
        make_invocation("a", cost_usd=usd("0.01")),
        make_invocation("b", cost_usd=usd("0.5"), at=START - timedelta(days=1)),
        make_invocation("c", cost_usd=usd("0.02"), origin="audit"),
        make_invocation("d", cost_usd=usd("0.04"), tenant="acme"),
        make_invocation("e", cost_usd=usd("0.4"), origin="synthetic"),
        make_invocation("f", cost_usd=usd("0.4"), origin="imported"),
    ]
    await insert(store, "invocations", *calls)
    assert await fetch_spending_today(store, START) == {
        ("triage", "default"): usd("0.03"),
        ("triage", "acme"): usd("0.04"),
    }


@pytest.mark.parametrize(
    ("model", "usage", "cost", "free", "reason", "source"),
    [
        ("gpt-4o-mini", MINI, "0", True, "", "free"),
        ("gpt-4o-mini", MINI, "0", False, "", "price list, gpt-4o-mini"),
        ("gpt-4o-mini", MINI, "listed", False, "control", "price list, gpt-4o-mini"),
        ("gpt-4o-mini", MINI, "0.5", False, "control", "set or recorded"),
        ("gpt-4o-mini", MINI, "0", False, "control", "set or recorded"),
        ("our-own", MINI, "0", False, "", "assumed, as no price of our-own is known"),
        ("our-own", MINI, "0.03", False, "control", "assumed, as no price of our-own is known"),
        ("our-own", MINI, "0.02", False, "", "set or recorded"),
        ("gpt-4o-mini", {}, "0", False, "", "assumed, as no price of gpt-4o-mini is known"),
        ("", {}, "0", False, "", "assumed, as no price of its model is known"),
    ],
)
def test_the_source_of_a_price_is_told_from_the_answer(
    model: str, usage: dict[str, int], cost: str, free: bool, reason: str, source: str
) -> None:
    listed = call_cost("gpt-4o-mini", Usage.model_validate(MINI), at=START)
    paid = listed if cost == "listed" else usd(cost)
    assert paid is not None
    assert describe_price_source(model, usage, paid, free, reason, START) == source


def test_a_tier_without_a_price_is_named_where_a_price_is_assumed() -> None:
    usage = {**MINI, "details": {"service_tier": "scale"}}
    told = describe_price_source("gpt-4o-mini", usage, usd("0.03"), False, "not_eligible", START)
    assert told == "assumed, as no price of gpt-4o-mini at scale is known"


async def test_the_last_answer_of_the_teacher_tells_the_source(store: Store) -> None:
    escalated = Route(reason="low_confidence", student_cost_usd=usd("0.001"))
    await insert(
        store,
        "invocations",
        make_invocation("a", model="our-own", cost_usd=usd("0.5")),
        make_invocation("b", model="our-own", at=START + timedelta(hours=1), cost_usd=usd("0.031"), route=escalated),
        make_invocation(
            "c", model="x", at=START + timedelta(hours=2), response=None, error="down", cost_usd=usd("0.7")
        ),
        make_invocation("d", task="other", free=True),
    )
    assert await fetch_price_sources(store, START - timedelta(days=1)) == {
        "triage": "assumed, as no price of our-own is known",
        "other": "free",
    }


async def test_the_story_of_a_task_is_told_in_order_and_its_end_is_the_last_decision(store: Store) -> None:
    decision = GateDecision(
        id=event_ids(START), at=START + timedelta(minutes=20), task="triage", student="triage@1",
        decision="promote", threshold=0.9, coverage=0.4, reason="agrees at least 95%",
    )  # fmt: skip
    await insert(store, "invocations", make_invocation(at=START - timedelta(days=1)), make_invocation(task="other"))
    await insert(
        store,
        "promotions",
        make_promotion("promoted", minutes=25, share=0.25, reason="canary"),
        make_promotion("authorised", minutes=10, reason="pays back"),
        make_promotion("authorised", task="other", minutes=50, reason="of the other"),
    )
    await insert(store, "gate_decisions", decision)
    await insert(
        store, "drift", drift(agreement_after=0.8), drift(minutes=28, drifted=False, tier="warn", cause="teacher")
    )
    story = await fetch_story(store, "triage")
    assert [(event.what, event.student, event.text) for event in story] == [
        ("first call", None, "answered by teacher-1"),
        ("authorised", "triage@1", "pays back"),
        ("gate: promote", "triage@1", "agrees at least 95%"),
        ("promoted for 25% of the eligible calls", "triage@1", "canary"),
        ("drift: warn", "triage@1", "another model answers as the teacher"),
        ("drift: contract", "triage@1", "agreement fell to 80.0% after 40 audited verdicts"),
    ]
    last = await fetch_last_decisions(store)
    assert {task: (found.what, found.reason) for task, found in last.items()} == {
        "triage": ("drift: contract", "agreement fell to 80.0% after 40 audited verdicts"),
        "other": ("authorised", "of the other"),
    }
    assert await fetch_story(store, "unknown") == []


async def test_the_decision_of_a_person_is_told_with_who_and_why(store: Store) -> None:
    def decided(action: Any, minutes: int, student: str | None) -> Event:
        steering = Steering(action=action, by="ada", student=student)
        at = START + timedelta(minutes=minutes)
        return steer("triage", steering, "because", at=at, event_id=event_ids(at))

    await insert(store, "promotions", decided("demote", 1, "triage@1"), decided("mark_critical", 2, None))
    told = [(event.what, event.student, event.text) for event in await fetch_story(store, "triage")]
    assert told == [("by hand: demote", "triage@1", "ada: because"), ("by hand: mark critical", "", "ada: because")]
    last = (await fetch_last_decisions(store))["triage"]
    assert (last.what, last.student, last.reason) == ("by hand: mark critical", "", "ada: because")


async def test_of_a_long_story_the_latest_events_are_told(store: Store) -> None:
    stages = [make_promotion("promoted", minutes=minute) for minute in range(MAX_STORY_EVENTS + 1)]
    await insert(store, "promotions", *stages)
    assert [event.at for event in await fetch_story(store, "triage")] == [event.at for event in stages[1:]]
    await insert(store, "drift", *[drift(minutes=minute) for minute in range(MAX_EVENTS + 1)])
    assert [event.id for event in await fetch_promotions(store, "triage")] == [
        event.id for event in stages[-MAX_EVENTS:]
    ]
    alarms = await fetch_drift(store, "triage")
    assert (alarms[0].at, alarms[-1].at) == (START + timedelta(minutes=1), START + timedelta(minutes=MAX_EVENTS))
