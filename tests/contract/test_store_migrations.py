"""Tables grow columns as events grow fields; what was stored before stays readable."""

import os
import re

import pytest
from tests.support.events import invocation
from tests.support.store import migrated

from understudies.events import INVOCATIONS, Invocation, Route, encode
from understudies.observer import stored_since
from understudies.runtime import Store
from understudies.runtime.sqlfiles import migrations

STORES = {"chdb": "chdb://"}
if "UNDERSTUDIES_TEST_CLICKHOUSE" in os.environ:
    STORES["clickhouse"] = os.environ["UNDERSTUDIES_TEST_CLICKHOUSE"]

NOT_COLUMNS = {"type"}


async def stored(store: Store) -> list[Invocation]:
    moment = invocation().at.replace(year=1971)
    pages = [page async for page in stored_since(store, moment, (INVOCATIONS,))]
    return [event for page in pages for event in page if isinstance(event, Invocation)]


@pytest.mark.parametrize("url", STORES.values(), ids=STORES.keys())
async def test_how_a_call_came_and_ended_is_stored(url: str) -> None:
    call = invocation(api="messages", streamed=True, hung_up=True, usage_estimated=True)
    async with migrated(url) as store:
        await store.command("TRUNCATE TABLE invocations")
        await store.insert("invocations", [encode(call)])
        (row,) = await store.query("SELECT api, streamed, hung_up, usage_estimated FROM invocations")
        assert row == {"api": "messages", "streamed": True, "hung_up": True, "usage_estimated": True}
        assert await stored(store) == [call]


@pytest.mark.parametrize("url", STORES.values(), ids=STORES.keys())
@pytest.mark.parametrize("drawn", [True, False, None])
async def test_whether_a_call_was_drawn_is_stored(url: str, drawn: bool | None) -> None:
    call = invocation(route=Route(reason="promoted", audit_probability=0.02, drawn=drawn))
    async with migrated(url) as store:
        await store.command("TRUNCATE TABLE invocations")
        await store.insert("invocations", [encode(call)])
        assert await stored(store) == [call]


@pytest.mark.parametrize("url", STORES.values(), ids=STORES.keys())
async def test_an_event_of_an_older_version_has_the_defaults(url: str) -> None:
    old = re.sub(rb'"(?:usage_estimated|api|streamed|hung_up|free)":(?:"[^"]*"|\w+),', b"", encode(invocation()))
    assert b"streamed" not in old
    async with migrated(url) as store:
        await store.command("TRUNCATE TABLE invocations")
        await store.insert("invocations", [old])
        assert await stored(store) == [Invocation.model_validate_json(old)]


async def test_rows_of_before_a_new_column_have_its_default() -> None:
    (_, first), *others = migrations()
    store = await Store.open("chdb://")
    try:
        for statement in filter(str.strip, re.split(r";\s*$", first, flags=re.MULTILINE)):
            await store.command(statement)
        before = invocation()
        await store.insert("invocations", [encode(before)])
        assert await store.migrate() == ["001_events.sql", *(name for name, _ in others)]
        after = invocation(api="responses")
        await store.insert("invocations", [encode(after)])
        assert sorted(await stored(store), key=lambda event: event.id) == [before, after]
    finally:
        await store.close()


async def test_every_field_of_an_invocation_has_a_column() -> None:
    async with migrated() as store:
        rows = await store.query("SELECT name FROM system.columns WHERE table = 'invocations' AND database = 'default'")
    assert set(Invocation.model_fields) - NOT_COLUMNS <= {row["name"] for row in rows}
