"""Tables grow columns as events grow fields; what was stored before stays readable."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.event_samples import OF_VERSION_1, SAMPLES
from tests.support.sample_events import make_invocation
from tests.support.stores import STORES, StoreFactory, open_migrated_store

from understudies.events import (
    INVOCATIONS,
    TOPICS,
    Drift,
    Event,
    GateDecision,
    Invocation,
    Promotion,
    Route,
    Verdict,
    encode,
)
from understudies.observer.replay import replay_since
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import StoreSettings
from understudies.runtime.store import Store
from understudies.runtime.store_migrations import migrations_table, read_migrations, split_statements

NOT_COLUMNS = {"type"}
TABLES: dict[type[Event], str] = {
    Invocation: "invocations",
    Verdict: "verdicts",
    GateDecision: "gate_decisions",
    Promotion: "promotions",
    Drift: "drift",
}


async def stored(store: Store) -> list[Invocation]:
    moment = make_invocation().at.replace(year=1971)
    pages = [page async for page in replay_since(store, moment, (INVOCATIONS,))]
    return [event for page in pages for event in page if isinstance(event, Invocation)]


@pytest.mark.parametrize("opened", STORES.values(), ids=STORES.keys())
async def test_how_a_call_came_and_ended_is_stored(opened: StoreFactory) -> None:
    call = make_invocation(api="messages", streamed=True, hung_up=True, usage_estimated=True)
    async with opened() as store:
        await store.insert("invocations", [encode(call)])
        (row,) = await store.query("SELECT api, streamed, hung_up, usage_estimated FROM invocations")
        assert row == {"api": "messages", "streamed": True, "hung_up": True, "usage_estimated": True}
        assert await stored(store) == [call]


@pytest.mark.parametrize("opened", STORES.values(), ids=STORES.keys())
@pytest.mark.parametrize("drawn", [True, False, None])
async def test_whether_a_call_was_drawn_is_stored(opened: StoreFactory, drawn: bool | None) -> None:
    call = make_invocation(route=Route(reason="promoted", audit_probability=0.02, drawn=drawn))
    async with opened() as store:
        await store.insert("invocations", [encode(call)])
        assert await stored(store) == [call]


@pytest.mark.parametrize("opened", STORES.values(), ids=STORES.keys())
async def test_an_event_of_an_older_version_has_the_defaults(opened: StoreFactory) -> None:
    old = re.sub(rb'"(?:usage_estimated|api|streamed|hung_up|free)":(?:"[^"]*"|\w+),', b"", encode(make_invocation()))
    assert b"streamed" not in old
    async with opened() as store:
        await store.insert("invocations", [old])
        assert await stored(store) == [Invocation.model_validate_json(old)]


async def test_rows_of_before_a_new_column_have_its_default() -> None:
    (_, first), *others = read_migrations()
    store = await Store.open("chdb://")
    try:
        for statement in filter(str.strip, re.split(r";\s*$", first, flags=re.MULTILINE)):
            await store.command(statement)
        before = make_invocation()
        await store.insert("invocations", [encode(before)])
        assert await store.migrate() == ["001_events.sql", *(name for name, _ in others)]
        after = make_invocation(api="responses")
        await store.insert("invocations", [encode(after)])
        assert sorted(await stored(store), key=lambda event: event.id) == [before, after]
    finally:
        await store.close()


async def test_rows_of_before_heads_and_withheld_answers_have_their_defaults() -> None:
    *earlier, (name, _) = [one for one in read_migrations() if one[0] <= "006_forward.sql"]
    assert name == "006_forward.sql"
    routes = [None, Route(reason="audit", threshold=0.75, share=0.25, audit_probability=0.05, drawn=True)]
    calls = [make_invocation(route=route) for route in routes]
    others = [*(OF_VERSION_1[name] for name in ("gate_decision", "promotion", "drift"))]
    store = await Store.open("chdb://")
    try:
        for _, sql in earlier:
            for statement in filter(str.strip, re.split(r";\s*$", sql, flags=re.MULTILINE)):
                await store.command(statement)
        await put(store, *calls, *others)
        await store.migrate()
        assert await everything(store) == by_id(*calls, *others)
        news = [SAMPLES[name].model_copy(update={"id": f"new-{name}"}) for name in sorted(SAMPLES)]
        await put(store, *news)
        assert await everything(store) == by_id(*calls, *others, *news)
    finally:
        await store.close()


async def put(store: Store, *events: Event) -> None:
    for event in events:
        await store.insert(TABLES[type(event)], [encode(event)])


async def everything(store: Store) -> dict[str, Event]:
    moment = make_invocation().at.replace(year=1971)
    pages = [page async for page in replay_since(store, moment, TOPICS)]
    return by_id(*(event for page in pages for event in page))


def by_id(*events: Event) -> dict[str, Event]:
    return {event.id: event for event in events}


@pytest.mark.parametrize(("model", "table"), TABLES.items())
async def test_every_field_of_an_event_has_a_column(model: type[Event], table: str) -> None:
    async with open_migrated_store() as store:
        asked = "SELECT name FROM system.columns WHERE table = {table:String} AND database = 'default'"
        rows = await store.query(asked, {"table": table})
    assert set(model.model_fields) - NOT_COLUMNS <= {row["name"] for row in rows}


async def test_on_a_cluster_every_table_is_made_on_all_servers_and_replicated() -> None:
    statements = [migrations_table("main"), *(s for _, sql in read_migrations() for s in split_statements(sql, "main"))]
    async with open_migrated_store() as store:
        for statement in statements:
            ((formatted,),) = [
                row.values() for row in await store.query("SELECT formatQuery({x:String})", {"x": statement})
            ]
            kind = re.match(r"(CREATE TABLE IF NOT EXISTS|ALTER TABLE) \w+ ON CLUSTER", formatted)
            assert kind is not None, formatted
            if kind[1] != "ALTER TABLE":
                assert re.search(r"ENGINE = ReplicatedReplacingMergeTree(\(\w+\))?\s+ORDER BY", formatted), formatted
        made = [statement for statement in statements if "CREATE" in statement]
        # One for every kind of event; one each for what was applied, marked and erased; four for totals.
        assert len(made) == len(TABLES) + 7


async def test_a_cluster_that_the_server_does_not_know_is_named() -> None:
    store = await Store.open("chdb://", StoreSettings(cluster="nowhere"))
    try:
        with pytest.raises(ConfigurationError, match=r"no cluster 'nowhere': correct UNDERSTUDIES_STORE_CLUSTER"):
            await store.migrate()
    finally:
        await store.close()


async def test_tables_keep_their_rows_as_long_as_is_said(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}"
    old = make_invocation(at=datetime(2020, 1, 1, tzinfo=UTC))

    async def count(settings: StoreSettings) -> int:
        store = await Store.open(url, settings)
        try:
            await store.migrate()
            await store.insert("invocations", [encode(old)])
            await store.command("OPTIMIZE TABLE invocations FINAL")
            (row,) = await store.query("SELECT count() AS n FROM invocations")
            return int(row["n"])
        finally:
            await store.close()

    assert await count(StoreSettings()) == 1
    assert await count(StoreSettings(keep_days={"invocations": 400})) == 0
    assert await count(StoreSettings(keep_days={"invocations": 400, "drift": 7})) == 0
    assert await count(StoreSettings(keep_days={"invocations": 3650})) == 1
    assert await count(StoreSettings()) == 1


def test_what_is_in_force_is_kept_for_ever() -> None:
    with pytest.raises(ValueError, match="promotions"):
        StoreSettings(keep_days={"promotions": 10})  # type: ignore[dict-item]
