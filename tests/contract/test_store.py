"""What every store promises: tables from the SQL files, events as they came, once each."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.sample_events import START, make_invocation, make_promotion
from tests.support.stores import STORES, open_migrated_store

from understudies.events import encode
from understudies.runtime.errors import ConfigurationError, Reject, RetryLater
from understudies.runtime.store import Store


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param]() as store:
        yield store


async def test_migrations_are_applied_once(store: Store) -> None:
    assert await store.migrate() == []
    names = [row["name"] for row in await store.query("SELECT name FROM migrations ORDER BY name")]
    assert names == sorted(set(names))
    assert names[0] == "001_events.sql"


async def test_an_event_is_stored_as_it_came(store: Store) -> None:
    call = make_invocation(
        "naïve \N{PILE OF POO} \x00 'quote' \"double\" \\ back",
        cost_usd="0.000000123",
        usage={"prompt_tokens": 12, "completion_tokens": 3},
        route={"reason": "low_confidence", "threshold": 0.9, "share": 0.25},
        tags={"team": "a"},
        confidence=0.5,
    )
    await store.insert("invocations", [encode(call)])
    (row,) = await store.query("SELECT * FROM invocations")
    assert row["id"] == call.id
    assert row["at"] == START
    assert row["at"].utcoffset().total_seconds() == 0
    assert row["cost_usd"] == call.cost_usd
    assert type(call.request).model_validate_json(row["request"]) == call.request
    assert row["route"]["reason"] == "low_confidence"
    assert row["route"]["threshold"] == 0.9
    assert row["usage"]["prompt_tokens"] == 12
    assert row["tags"] == {"team": "a"}
    assert row["student"] is None


async def test_an_event_delivered_twice_is_one_row(store: Store) -> None:
    lines = [encode(make_invocation(f"question {n}")) for n in range(50)]
    await store.insert("invocations", lines)
    await store.insert("invocations", lines[10:])
    assert await store.query("SELECT count() AS n FROM invocations FINAL") == [{"n": 50}]


async def test_a_line_that_does_not_fit_is_refused_and_nothing_is_stored(store: Store) -> None:
    for bad in (b'{"id":', b'{"id":"x"}', b'{"id":"x","at":"yesterday","task":"t"}', b'{"task":"t","at":"2025-01-01"}'):
        with pytest.raises(Reject):
            await store.insert("promotions", [encode(make_promotion()), bad])
    assert await store.query("SELECT count() AS n FROM promotions") == [{"n": 0}]


async def test_fields_of_a_later_version_are_skipped(store: Store) -> None:
    line = encode(make_promotion())[:-1] + b',"field_of_the_future":{"deep":[1,2,{"x":null}]}}'
    await store.insert("promotions", [line])
    assert await store.query("SELECT stage FROM promotions") == [{"stage": "authorised"}]


async def test_parameters_are_never_sql(store: Store) -> None:
    task = "o'brien\\'); DROP TABLE promotions; --"
    await store.insert("promotions", [encode(make_promotion(task="triage"))])
    assert await store.query("SELECT {task:String} AS task", {"task": task}) == [{"task": task}]
    assert await store.query("SELECT count() AS n FROM promotions") == [{"n": 1}]


async def test_trouble_of_the_store_is_to_be_tried_later(store: Store) -> None:
    with pytest.raises(RetryLater, match="no_such_table"):
        await store.insert("no_such_table", [b"{}"])


async def test_a_batch_of_megabytes_is_stored_and_read_whole(store: Store) -> None:
    calls = [make_invocation(f"{n} " + "naïve text " * 2000) for n in range(200)]
    await store.insert("invocations", [encode(call) for call in calls])
    rows = await store.query("SELECT id, request FROM invocations ORDER BY id")
    stored = {row["id"]: type(calls[0].request).model_validate_json(row["request"]) for row in rows}
    assert stored == {call.id: call.request for call in calls}


async def test_a_parameter_comes_as_it_was_given(store: Store) -> None:
    values = ["a\tb\nc", "\\N", "", "'\"`;--", "\x00\x7f", "{x:String}", "ü😀"]
    for value in values:
        assert await store.query("SELECT {x:String} AS x", {"x": value}) == [{"x": value}]
    assert await store.query("SELECT {x:Array(String)} AS x", {"x": values}) == [{"x": values}]


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.query("SELECT 1")


async def test_two_stores_of_one_path_are_one(tmp_path: Path) -> None:
    async with open_migrated_store(f"chdb://{tmp_path}") as one, open_migrated_store(f"chdb://{tmp_path}") as other:
        await one.insert("promotions", [encode(make_promotion())])
        assert await other.query("SELECT count() AS n FROM promotions") == [{"n": 1}]
        await other.close()
        assert await one.query("SELECT count() AS n FROM promotions") == [{"n": 1}]


async def test_a_second_path_in_the_process_is_refused_by_name(tmp_path: Path) -> None:
    async with open_migrated_store(f"chdb://{tmp_path / 'one'}"):
        with pytest.raises(ConfigurationError, match="cannot open"):
            await Store.open(f"chdb://{tmp_path / 'two'}")


async def test_another_scheme_is_refused_with_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_STORE_URL"):
        await Store.open("sqlite:///data")


WRITER = """
import asyncio, sys
from tests.support.sample_events import make_invocation
from tests.support.stores import open_migrated_store
from understudies.events import encode

async def main():
    async with open_migrated_store(sys.argv[1]) as store:
        for n in range(20):
            await store.insert("invocations", [encode(make_invocation(f"question {n} {m}")) for m in range(50)])
        print("written", flush=True)
        while True:
            await store.insert("invocations", [encode(make_invocation("one more"))])

asyncio.run(main())
"""


async def test_what_was_inserted_survives_a_kill(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path / 'store'}"
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, stdout=asyncio.subprocess.PIPE)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"written\n"
    writer.send_signal(signal.SIGKILL)
    await writer.wait()
    async with open_migrated_store(url) as store:
        (row,) = await store.query("SELECT uniqExact(id) AS n FROM invocations WHERE request LIKE '%question%'")
        assert row["n"] == 1000
        await store.insert("invocations", [encode(make_invocation("afterwards"))])


async def test_a_copy_without_its_symbolic_links_is_told_as_such(tmp_path: Path) -> None:
    store = await Store.open(f"chdb://{tmp_path / 'first'}")
    await store.migrate()
    await store.close()
    shutil.copytree(tmp_path / "first", tmp_path / "linked", symlinks=True)
    shutil.copytree(tmp_path / "first", tmp_path / "followed")
    with pytest.raises(ConfigurationError, match="copied without its symbolic links; copy the folder anew"):
        await Store.open(f"chdb://{tmp_path / 'followed'}")
    copy = await Store.open(f"chdb://{tmp_path / 'linked'}")
    assert await copy.query("SELECT count() AS n FROM invocations") == [{"n": 0}]
    await copy.close()
