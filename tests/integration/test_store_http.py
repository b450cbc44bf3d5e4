"""The store over ClickHouse's HTTP interface: what the client and the server agree on, and what becomes of faults."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support import clickhouse_http
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.sample_events import make_invocation, make_promotion
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stores import new_database, open_migrated_store, shared_clickhouse
from tests.support.tcp_proxy import TcpProxy

from understudies.events import encode
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.logs import configure_logging
from understudies.runtime.settings import StoreSettings
from understudies.runtime.store import Store

COUNT = "SELECT uniqExact(id) AS n FROM invocations"


@pytest.fixture
async def server() -> AsyncIterator[ClickHouseServer]:
    async with ClickHouseServer() as server:
        yield server


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=24) as disk:
        yield disk


def client(**options: Any) -> Any:
    shared = shared_clickhouse()
    given = {"username": clickhouse_http.USER, "password": shared.password, **options}
    return clickhouse_connect.get_client(host="127.0.0.1", port=shared.port, **given)


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
async def test_answers_and_inserts_are_compressed_as_the_client_wants(compress: str | bool) -> None:
    async with new_database(shared_clickhouse().url()) as url:
        with client(database=url.rpartition("/")[2], compress=compress, autogenerate_session_id=False) as one:
            one.command("CREATE TABLE t (n UInt64, text String) ENGINE = MergeTree ORDER BY n")
            one.insert("t", [[n, "text " * n] for n in range(100)], column_names=["n", "text"])
            assert one.query("SELECT sum(n), sum(length(text)) FROM t").result_rows == [(4950, 24750)]


async def test_a_session_keeps_its_settings_and_temporary_tables_and_no_other_sees_them() -> None:
    with client(session_id="one") as one, client(session_id="other") as other:
        one.command("CREATE TEMPORARY TABLE kept (n UInt8)")
        one.command("SET max_result_rows = 3")
        assert one.query("SELECT count() FROM kept").result_rows == [(0,)]
        with pytest.raises(DatabaseError, match="TOO_MANY_ROWS"):
            one.query("SELECT number FROM numbers(10)")
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            other.query("SELECT count() FROM kept")
        assert len(other.query("SELECT number FROM numbers(10)").result_rows) == 10


async def test_a_setting_holds_for_its_query_alone() -> None:
    with client(autogenerate_session_id=False) as one:
        with pytest.raises(DatabaseError, match="TOO_MANY_ROWS"):
            one.query("SELECT number FROM numbers(10)", settings={"max_result_rows": 3})
        assert len(one.query("SELECT number FROM numbers(10)").result_rows) == 10


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda url: url.replace(":p", ":q"), "correct user and password in UNDERSTUDIES_STORE_URL"),
        (lambda url: url.replace("//understudies", "//nobody"), "correct user and password in UNDERSTUDIES_STORE_URL"),
        (lambda url: f"{url}_missing", "create the database, or name another in UNDERSTUDIES_STORE_URL"),
    ],
    ids=["password", "user", "database"],
)
async def test_what_no_retry_mends_is_told_with_its_remedy(change: Callable[[str], str], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        await Store.open(change(shared_clickhouse().url()))
    assert shared_clickhouse().password not in str(caught.value)


async def test_a_server_that_is_away_is_tried_later_and_found_when_it_is_back(server: ClickHouseServer) -> None:
    async with open_migrated_store(server.url()) as store:
        await store.insert("invocations", [encode(make_invocation("before"))])
        server.kill()
        lost = [encode(make_invocation(f"{n}")) for n in range(20)]
        for _ in range(2):
            with pytest.raises(RetryLater, match=r"127\.0\.0\.1"):
                await store.insert("invocations", lost)
        with pytest.raises(RetryLater):
            await Store.open(server.url())
        await asyncio.to_thread(server.start)
        await store.insert("invocations", lost)
        assert await store.query(COUNT) == [{"n": 21}]


async def test_a_server_that_answers_nothing_is_given_up_in_time(server: ClickHouseServer) -> None:
    async with open_migrated_store(server.url()):
        pass
    store = await Store.open(server.url(), StoreSettings(timeout_s=1))
    try:
        server.pause()
        with pytest.raises(RetryLater, match="timed out"):
            await store.insert("promotions", [encode(make_promotion())])
        server.resume()
        assert len(await store.query("SELECT id FROM promotions FINAL")) <= 1
        await store.insert("promotions", [encode(make_promotion())])
    finally:
        await store.close()


async def test_connections_that_are_reset_cost_no_event() -> None:
    shared = shared_clickhouse()
    async with (
        new_database(shared.url()) as url,
        TcpProxy(shared.address) as line,
        open_migrated_store(url.replace(shared.address, line.address)) as store,
    ):
        stored = set()
        for n in range(20):
            call = make_invocation(f"call {n}")
            inserting = asyncio.create_task(store.insert("invocations", [encode(call)]))
            if n % 3 == 1:
                await asyncio.sleep(0)
                await line.reset_connections()
            try:
                await inserting
            except RetryLater:
                await store.insert("invocations", [encode(call)])
            stored.add(call.id)
        assert {row["id"] for row in await store.query("SELECT id FROM invocations FINAL")} == stored


async def test_no_parameter_of_a_query_is_logged_or_told(
    server: ClickHouseServer, caplog: pytest.LogCaptureFixture
) -> None:
    levels = {name: logging.getLogger(name).level for name in ("clickhouse_connect", "urllib3")}
    configure_logging()
    try:
        async with open_migrated_store(server.url()) as store:
            server.kill()
            with pytest.raises(RetryLater) as caught:
                await store.query("SELECT {task:String} AS task", {"task": "confidential"})
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert "confidential" not in str(caught.value)
    assert "confidential" not in caplog.text


async def test_a_disk_that_is_full_is_to_be_tried_later(disk: SmallDisk) -> None:
    async with ClickHouseServer(folder=disk.folder / "data") as server, open_migrated_store(server.url()) as store:
        calls = [make_invocation("x" * 100) for _ in range(10)]
        await store.insert("invocations", [encode(call) for call in calls])
        disk.fill()
        with pytest.raises(RetryLater, match="the store failed"):
            await store.insert("invocations", [encode(make_invocation("y" * 100_000))])
        disk.clear()
        await store.insert("invocations", [encode(make_invocation("afterwards"))])
        assert await store.query(COUNT) == [{"n": 11}]
