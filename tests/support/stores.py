"""Stores to test against."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from understudies.runtime.store import Store


@asynccontextmanager
async def open_migrated_store(url: str = "chdb://") -> AsyncIterator[Store]:
    """A store with its tables; without a URL a throw-away one."""
    store = await Store.open(url)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()
