"""Stores to test against: the embedded engine, the same behind ClickHouse's HTTP interface, and a server by its URL."""

import atexit
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from tests.support.clickhouse_server import ClickHouseServer

from understudies.runtime.store import Store

StoreFactory = Callable[[], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def open_migrated_store(url: str = "chdb://") -> AsyncIterator[Store]:
    """A store with its tables; without a URL a throw-away one."""
    store = await Store.open(url)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


@cache
def shared_clickhouse() -> ClickHouseServer:
    """One server for all tests of a run."""
    server = ClickHouseServer(password="p@ss/word'1")
    atexit.register(server.close)
    server.start()
    return server


@asynccontextmanager
async def new_database(url: str) -> AsyncIterator[str]:
    """The URL of a database that no other test uses, on the server of a URL."""
    name = f"test_{uuid.uuid4().hex}"
    server = await Store.open(url)
    try:
        await server.command(f"CREATE DATABASE {name}")
        yield f"{url.rpartition('/')[0]}/{name}"
        await server.command(f"DROP DATABASE {name}")
    finally:
        await server.close()


@asynccontextmanager
async def open_over_http() -> AsyncIterator[Store]:
    """An empty database of a server, with its tables."""
    async with new_database(shared_clickhouse().url()) as url, open_migrated_store(url) as store:
        yield store


@asynccontextmanager
async def open_given_server() -> AsyncIterator[Store]:
    """The same on the server that the environment names."""
    async with (
        new_database(os.environ["UNDERSTUDIES_TEST_CLICKHOUSE"]) as url,
        open_migrated_store(url) as store,
    ):
        yield store


STORES: dict[str, StoreFactory] = {"chdb": open_migrated_store, "clickhouse_http": open_over_http}
if "UNDERSTUDIES_TEST_CLICKHOUSE" in os.environ:
    STORES["clickhouse"] = open_given_server
