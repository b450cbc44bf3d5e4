"""Store events in ClickHouse, as a server or embedded in this process, with the same SQL."""

import asyncio
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from understudies.runtime.errors import ConfigurationError, Reject, RetryLater
from understudies.runtime.settings import StoreSettings
from understudies.runtime.store_migrations import migrations_table, read_migrations, split_statements, ttl_statements

_DEFAULT_SETTINGS: Final = StoreSettings.model_construct()
_CLUSTER_QUERY: Final = "SELECT cluster FROM system.clusters WHERE cluster = {name:String} LIMIT 1"
_TABLES_QUERY: Final = """
SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND name != 'migrations'
"""

T = TypeVar("T")

_INSERT_SETTINGS: Final = {
    "input_format_json_read_objects_as_strings": 1,
    "input_format_skip_unknown_fields": 1,
    "date_time_input_format": "best_effort",
}
# ClickHouse's error codes for a value that it cannot accept, as opposed to failures of its own.
_BAD_VALUE_CODES: Final = frozenset(
    {6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 306, 321, 349, 376, 407, 467, 469}
)
_CODE_PATTERN: Final = re.compile(r"Code: (\d+)")
_URL_PATTERN: Final = re.compile(r"(?: with url: |\(for url )[^\s)]*\)?|HTTP\w+Pool\(host='([^']*)', port=(\d+)\): ")
"""What the client says about its request: settings by the dozen, in front of the reason."""
_REMEDIES: Final = {
    81: "create the database, or name another in UNDERSTUDIES_STORE_URL",
    192: "correct the user in UNDERSTUDIES_STORE_URL",
    193: "correct the password in UNDERSTUDIES_STORE_URL",
    194: "give a password in UNDERSTUDIES_STORE_URL",
    516: "correct user and password in UNDERSTUDIES_STORE_URL",
}
"""ClickHouse's error codes at connecting that no retry mends."""
_CONNECT_TIMEOUT_S: Final = 5


class _Engine:
    """Client and the one thread that uses it; shared, as the embedded engine allows one path per process."""

    _open: dict[str, "_Engine"] = {}  # noqa: RUF012 - one for the process, by intention
    _lock = threading.Lock()

    def __init__(self, url: str, settings: StoreSettings) -> None:
        self.url = url
        self._ref_count = 1
        self._folder = TemporaryDirectory(prefix="understudies-") if _is_temporary(url) else None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            self.client = self._worker.submit(_connect, self._folder.name if self._folder else url, settings).result()
        except BaseException:
            self._dispose()
            raise

    @classmethod
    def acquire(cls, url: str, settings: StoreSettings) -> "_Engine":
        """Return the engine of a URL, opening it for its first user; blocks."""
        with cls._lock:
            shared = cls._open.get(url)
            if shared is None:
                engine = cls(url, settings)
                if url.startswith("chdb") and not _is_temporary(url):
                    cls._open[url] = engine
                return engine
            shared._ref_count += 1
            return shared

    def release(self) -> None:
        """Drop one user, and close the engine after the last one; blocks."""
        with self._lock:
            self._ref_count -= 1
            if self._ref_count == 0:
                self._open.pop(self.url, None)
                self._worker.submit(self.client.close).result()
                self._dispose()

    def _dispose(self) -> None:
        self._worker.shutdown()
        if self._folder is not None:
            self._folder.cleanup()

    async def run(self, call: Callable[[Any], T]) -> T:
        """Run `call` with the client on the engine's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, self.client)


class Store:
    """Event tables: insert raw JSON lines, query rows."""

    def __init__(self, engine: _Engine, settings: StoreSettings) -> None:
        self._engine: _Engine | None = engine
        self._settings = settings

    @classmethod
    async def open(cls, url: str, settings: StoreSettings = _DEFAULT_SETTINGS) -> Self:
        """Connect to the store of `url`, whatever URL the settings have.

        Raises ConfigurationError for an unusable URL and RetryLater while the server is unavailable.
        """
        return cls(await asyncio.to_thread(_Engine.acquire, url, settings), settings)

    async def migrate(self) -> list[str]:
        """Apply the numbered SQL files that have not been applied yet, then how long rows are kept; returns the files.

        Raises ConfigurationError if the tables are to be made on a cluster that the server does not know.
        """
        cluster = self._settings.cluster
        if cluster is not None and not await self.query(_CLUSTER_QUERY, {"name": cluster}):
            raise ConfigurationError(
                f"the store knows no cluster {cluster!r}: correct UNDERSTUDIES_STORE_CLUSTER or define it there"
            )
        await self.command(migrations_table(cluster))
        done = {row["name"] for row in await self.query("SELECT DISTINCT name FROM migrations")}
        new = [(name, sql) for name, sql in read_migrations() if name not in done]
        for name, sql in new:
            for statement in split_statements(sql, cluster):
                await self.command(statement)
            await self.command("INSERT INTO migrations (name) VALUES ({name:String})", {"name": name})
        tables = {row["name"]: row["create_table_query"] for row in await self.query(_TABLES_QUERY)}
        keep_days = {str(table): days for table, days in self._settings.keep_days.items()}
        for statement in ttl_statements(tables, keep_days, cluster):
            await self.command(statement)
        return [name for name, _ in new]

    async def insert(self, table: str, lines: Sequence[bytes]) -> None:
        """Insert JSON objects, one per line, all or none; raises Reject if one of them does not fit the table."""
        if lines:
            block = b"\n".join(lines)
            await self._run(
                lambda client: client.raw_insert(
                    table, insert_block=block, fmt="JSONEachRow", settings=_INSERT_SETTINGS
                )
            )

    async def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query; the SQL refers to parameters as `{name:Type}`."""
        return await self._run(
            lambda client: list(client.query(sql, parameters=dict(parameters or {})).named_results())
        )

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing."""
        await self._run(lambda client: client.command(sql, parameters=dict(parameters or {})))

    async def freeze(self, name: str) -> None:
        """Link the data of all tables of an embedded store, as of one moment, below `shadow/NAME` in its folder."""

        def freeze(client: Any) -> None:
            for (table,) in client.query("SELECT name FROM system.tables WHERE database = 'default'").result_rows:
                client.command(f"ALTER TABLE `{table}` FREEZE WITH NAME '{name}'")

        await self._run(freeze)

    async def close(self) -> None:
        """Disconnect; a second call does nothing."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.release)

    async def _run(self, call: Callable[[Any], T]) -> T:
        if self._engine is None:
            raise RuntimeError("the store is closed")
        try:
            return await self._engine.run(call)
        except ClickHouseError as error:
            raise _to_error(error) from error


def _to_error(error: ClickHouseError) -> Reject | RetryLater:
    text, code = _describe(error)
    if isinstance(error, DatabaseError) and code in _BAD_VALUE_CODES:
        return Reject(f"the store rejects this value: {text}")
    return RetryLater(f"the store failed: {text}")


def _describe(error: ClickHouseError) -> tuple[str, int | None]:
    """Return the reason of an error, without the URL of the request, and ClickHouse's code if it has one."""
    text = _URL_PATTERN.sub(lambda found: f"{found[1]}:{found[2]}: " if found[1] else "", str(error))[:500]
    code = _CODE_PATTERN.search(text)
    return text, int(code[1]) if code else None


def _is_temporary(url: str) -> bool:
    return url in ("chdb://", "chdb://memory")


def _connect(url: str, settings: StoreSettings) -> Any:
    parts = urlsplit(url)
    try:
        if parts.scheme in ("chdb", ""):
            _check_links(Path(parts.path) / "metadata" / "default")
            return clickhouse_connect.get_client(interface="chdb", path=parts.path, tz_mode="aware")
        if parts.scheme in ("clickhouse", "clickhouses"):
            return clickhouse_connect.get_client(
                host=parts.hostname or "localhost",
                port=parts.port or 0,
                username=unquote(parts.username or "default"),
                password=unquote(parts.password or ""),
                database=parts.path.strip("/") or "default",
                secure=parts.scheme == "clickhouses",
                autogenerate_session_id=False,
                connect_timeout=_CONNECT_TIMEOUT_S,
                send_receive_timeout=settings.timeout_s,
                ca_cert=None if settings.ca_file is None else str(settings.ca_file),
                tz_mode="aware",
            )
    except ImportError as error:
        raise ConfigurationError(
            f"{parts.scheme}:// is not supported: install `understudies[embedded]` or set UNDERSTUDIES_STORE_URL"
        ) from error
    except ClickHouseError as error:
        if parts.scheme.startswith("clickhouse"):
            text, code = _describe(error)
            if code in _REMEDIES:
                raise ConfigurationError(
                    f"the store at {parts.hostname!r} refuses: {text}; {_REMEDIES[code]}"
                ) from error
            raise RetryLater(f"no store at {parts.hostname!r}: {text}") from error
        raise ConfigurationError(f"the embedded store cannot open {parts.path!r}: {str(error)[:500]}") from error
    raise ConfigurationError(
        f"unknown store URL {parts.scheme!r}: set UNDERSTUDIES_STORE_URL to chdb:///PATH or clickhouse://HOST:PORT/DB"
    )


def _check_links(database: Path) -> None:
    """Raise ConfigurationError if the embedded store was copied with directories in place of its symbolic links."""
    if database.is_dir() and not database.is_symlink():
        raise ConfigurationError(
            f"the embedded store cannot open {str(database.parents[1])!r}: it was copied without its symbolic links; "
            "copy the folder anew with `cp -a`, `rsync -a` or `tar`"
        )
