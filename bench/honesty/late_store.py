"""A store that writes when it is asked: what nobody reads meanwhile goes in at once, in large batches."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from understudies.runtime import Store


class LateStore(Store):
    """The embedded store, to which a backtest of a short log would insert some rows a thousand times."""

    _waiting: defaultdict[str, list[bytes]]

    async def insert(self, table: str, lines: Sequence[bytes]) -> None:
        self._rows[table].extend(lines)

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        await self._catch_up()
        return await super().query(sql, parameters)

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        await self._catch_up()
        await super().command(sql, parameters)

    async def _catch_up(self) -> None:
        rows, self._waiting = self._rows, defaultdict(list)
        for table, lines in rows.items():
            await super().insert(table, lines)

    @property
    def _rows(self) -> defaultdict[str, list[bytes]]:
        if not hasattr(self, "_waiting"):
            self._waiting = defaultdict(list)
        return self._waiting


@contextmanager
def late_store() -> Iterator[None]:
    """Platforms that are started meanwhile have a store that writes late."""
    with mock.patch("understudies.embedded.platform.Store", LateStore):
        yield
