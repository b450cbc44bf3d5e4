"""A store that writes when it is asked: what nobody reads meanwhile goes in at once, in large batches."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from understudies.runtime.store import Store


class DeferredStore(Store):
    """The embedded store, to which a backtest of a short log would insert some rows a thousand times."""

    _pending_lines: defaultdict[str, list[bytes]]

    async def insert(self, table: str, lines: Sequence[bytes]) -> None:
        self._pending_rows[table].extend(lines)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        await self._write_pending()
        return await super().query(sql, parameters)

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        await self._write_pending()
        await super().command(sql, parameters)

    async def _write_pending(self) -> None:
        rows, self._pending_lines = self._pending_rows, defaultdict(list)
        for table, lines in rows.items():
            await super().insert(table, lines)

    @property
    def _pending_rows(self) -> defaultdict[str, list[bytes]]:
        if not hasattr(self, "_pending_lines"):
            self._pending_lines = defaultdict(list)
        return self._pending_lines


@contextmanager
def use_deferred_store() -> Iterator[None]:
    """Platforms that are started meanwhile have a store that writes late."""
    with mock.patch("understudies.embedded.platform.Store", DeferredStore):
        yield
