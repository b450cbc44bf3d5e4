"""Write the statements that bring a store's tables up to date: numbered SQL files, on one server or on a cluster."""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

_MIGRATIONS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations (name String, at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree ORDER BY name
"""
_STATEMENT_END: Final = re.compile(r";\s*$", re.MULTILINE)
_TABLE_CLAUSE: Final = re.compile(r"^((?:--[^\n]*\n|\s)*(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE) \w+)")
_ENGINE: Final = re.compile(r"\bENGINE = ReplacingMergeTree\b")
_TTL: Final = re.compile(r"TTL toDateTime\(at\) \+ toIntervalDay\((\d+)\)")


def read_migrations() -> list[tuple[str, str]]:
    """Return the name and text of every SQL file, in order."""
    files = sorted(
        (file for file in _migrations_folder().iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [(file.name, file.read_text(encoding="utf-8")) for file in files]


def split_statements(sql: str, cluster: str | None = None) -> Iterator[str]:
    """Yield the statements of a file.

    For a cluster, tables are made on all of its servers and replicated among them by ClickHouse's default path, which
    takes the macros `shard` and `replica` of each server.
    """
    for statement in filter(str.strip, _STATEMENT_END.split(sql)):
        yield statement if cluster is None else _on_cluster(statement, cluster)


def migrations_table(cluster: str | None = None) -> str:
    """Return the statement that makes the table of the files that were applied."""
    return next(split_statements(_MIGRATIONS_TABLE, cluster))


def ttl_statements(tables: Mapping[str, str], keep_days: Mapping[str, int], cluster: str | None = None) -> list[str]:
    """Return the statements that let tables keep rows for so many days, all rows where it is not said.

    `tables` holds the statement that made each table, as `system.tables` has it. A table that is as wanted already is
    left alone: every change of a TTL rewrites the table.
    """
    statements: list[str] = []
    for table, created in tables.items():
        found = _TTL.search(created)
        wanted, present = keep_days.get(table), int(found[1]) if found else None
        if wanted == present:
            continue
        change = "REMOVE TTL" if wanted is None else f"MODIFY TTL toDateTime(at) + toIntervalDay({wanted})"
        statements += split_statements(f"ALTER TABLE {table} {change}", cluster)
    return statements


def _on_cluster(statement: str, cluster: str) -> str:
    name = cluster.replace("\\", "\\\\").replace("'", "\\'")
    on_all = _TABLE_CLAUSE.sub(lambda found: f"{found[1]} ON CLUSTER '{name}'", statement)
    return _ENGINE.sub("ENGINE = ReplicatedReplacingMergeTree", on_all)


def _migrations_folder() -> Traversable:
    installed = resources.files("understudies.runtime") / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "deploy" / "clickhouse"
