"""Imported calls are added once, redacted, and never as evidence if they are old."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from tests.support.capturing_bus import CapturingBus
from tests.support.datasets import START
from tests.support.sample_events import make_invocation
from tests.support.stores import open_migrated_store

from understudies.events import Invocation, encode
from understudies.runtime.bus.publisher import Undeliverable
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.store import Store
from understudies.warm_start.call_sink import CallSink, EventPublisher, InvalidImport
from understudies.warm_start.counts import ImportCounts
from understudies.warm_start.settings import ImportSettings

NOW = START + timedelta(days=10)
COUNT = "SELECT count() AS rows, uniqExact(id) AS calls, countIf(training_only) AS old FROM invocations"


def line(text: str, age_hours: float = 100, **more: Any) -> bytes:
    at = NOW - timedelta(hours=age_hours)
    return encode(make_invocation(text, at=at, origin="imported", **more).model_copy(update={"id": f"id of {text}"}))


def sink_of(store: Store, bus: EventPublisher | None = None, hours: float = 0, rules: Rules | None = None) -> CallSink:
    return CallSink(
        ImportSettings(evidence_hours=hours), store=store, bus=bus, rules=RulesSource(rules), now=lambda: NOW
    )


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Store, CapturingBus]]:
    async with open_migrated_store() as store:
        await store.command("TRUNCATE TABLE invocations")
        yield store, CapturingBus()


async def test_importing_twice_adds_nothing() -> None:
    async with scene() as (store, recorder):
        sink = sink_of(store, recorder.bus)
        assert await sink.add([line("a"), line("b")]) == ImportCounts(added=2)
        assert await sink.add([line("b"), line("c")]) == ImportCounts(added=1, known=1)
        assert await sink_of(store).add([line("a"), line("c")]) == ImportCounts(known=2)
        assert (await store.query(COUNT))[0] == {"rows": 3, "calls": 3, "old": 3}
    assert [event.id for event in recorder.published] == ["id of a", "id of b", "id of c"]


async def test_a_call_without_a_time_of_its_own_is_found_whatever_time_it_has() -> None:
    async with scene() as (store, recorder):
        sink = sink_of(store, recorder.bus)
        await sink.add([line("a", 100, training_only=True)])
        assert await sink.add([line("a", 3, training_only=True)]) == ImportCounts(known=1)


async def test_only_calls_younger_than_the_span_may_be_evidence() -> None:
    async with scene() as (store, recorder):
        counts = await sink_of(store, recorder.bus, hours=24).add(
            [line("young", 23), line("old", 25), line("undated", 1, training_only=True)]
        )
        assert counts == ImportCounts(added=3, evidence=1)
    added = [event for event in recorder.published if isinstance(event, Invocation)]
    assert [call.training_only for call in added] == [False, True, True]


async def test_personal_data_is_redacted_and_a_tenants_own_task_is_named_as_the_router_does() -> None:
    rules = Rules.model_validate({"tenants": {"acme": {"keys": [], "own_tasks": True}}})
    async with scene() as (store, recorder):
        sink = sink_of(store, recorder.bus, rules=rules)
        await sink.add([line("write to ada@example.com", tenant="acme")])
        (row,) = await store.query("SELECT task, request FROM invocations")
    assert row["task"].startswith("acme:")
    assert "ada@" not in row["request"]


@pytest.mark.parametrize("bad", [b"{}", b"nonsense", encode(make_invocation("live"))], ids=["empty", "no JSON", "live"])
async def test_what_is_no_imported_call_is_refused_and_nothing_of_its_batch_is_added(bad: bytes) -> None:
    async with scene() as (store, recorder):
        with pytest.raises(InvalidImport, match="call 2"):
            await sink_of(store, recorder.bus).add([line("a"), bad])
        assert (await store.query(COUNT))[0]["rows"] == 0
    assert recorder.published == []


class Failing:
    """A bus that does not take what it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def publish(self, *events: object) -> None:
        raise self.error


async def test_while_the_bus_is_away_nothing_is_stored() -> None:
    async with scene() as (store, _):
        with pytest.raises(RetryLater):
            await sink_of(store, Failing(RetryLater("away"))).add([line("a")])
        assert (await store.query(COUNT))[0]["rows"] == 0


async def test_calls_larger_than_an_event_may_be_are_left_out_and_counted() -> None:
    async with scene() as (store, _):
        counts = await sink_of(store, Failing(Undeliverable("too large", [1]))).add([line("a"), line("b")])
        assert counts == ImportCounts(added=1, too_large=1)
