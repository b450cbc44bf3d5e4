"""Run queries on a small database in memory, read-only and within limits, and compare their rows."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

MAX_ROWS: Final = 10_000
_STEPS: Final = 10_000
"""Instructions of SQLite's virtual machine between two checks of the limit."""
_MAX_CHECKS: Final = 3_000
"""Checks after which a query is stopped: counted in instructions, not seconds, the verdict is the same every time."""
_MAX_BYTES: Final = 1_000_000
"""Longest value of the database."""
_MAX_VALUE_BYTES: Final = 100_000
"""Longest value that a query may make: the time for it is not counted in instructions."""
_MAX_RESULT_BYTES: Final = 8_000_000
_DENIED_FUNCTIONS: Final = frozenset({"load_extension", "random", "randomblob", "readfile", "writefile", "edit"})
_ALLOWED_ACTIONS: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)


class QueryFailedError(Exception):
    """A query is wrong, changes something, or exceeds a limit."""


Row = tuple[Any, ...]


class SampleDatabase:
    """Database made by a script; each query runs on an own connection, so that none sees another.

    Raises ValueError if SQLite cannot run the script.
    """

    def __init__(self, script: str) -> None:
        with sqlite3.connect(":memory:") as connection:
            _limit(connection)
            connection.set_authorizer(_authorize_script)
            try:
                connection.executescript(script)
                connection.commit()
            except (sqlite3.Error, ValueError) as error:
                raise ValueError(f"SQLite cannot run the schema: {error}") from error
            connection.set_authorizer(None)
            self._content = connection.serialize()
        connection.close()

    def rows(self, query: str) -> list[Row]:
        """Return the rows of one query; raises QueryFailedError."""
        connection = sqlite3.connect(":memory:")
        try:
            connection.deserialize(self._content)
            connection.execute("PRAGMA query_only = ON")
            _limit(connection, _MAX_VALUE_BYTES)
            connection.set_authorizer(_authorize_query)
            rows = _fetch(connection.execute(query))
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            raise QueryFailedError(str(error)) from error
        finally:
            connection.close()
        return rows


def _fetch(cursor: sqlite3.Cursor) -> list[Row]:
    rows: list[Row] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if len(rows) > MAX_ROWS:
            raise QueryFailedError(f"returns more than {MAX_ROWS} rows")
        if size > _MAX_RESULT_BYTES:
            raise QueryFailedError(f"returns more than {_MAX_RESULT_BYTES} bytes")
    return rows


def _limit(connection: sqlite3.Connection, max_bytes: int = _MAX_BYTES) -> None:
    checks = 0

    def check() -> int:
        nonlocal checks
        checks += 1
        return int(checks > _MAX_CHECKS)

    connection.set_progress_handler(check, _STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)


def _authorize_query(action: int, first: str | None, second: str | None, *_: object) -> int:
    denied = action not in _ALLOWED_ACTIONS or (
        action == sqlite3.SQLITE_FUNCTION and (second or "").casefold() in _DENIED_FUNCTIONS
    )
    return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK


def _authorize_script(action: int, first: str | None, second: str | None, *_: object) -> int:
    is_denied = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) or (
        action == sqlite3.SQLITE_FUNCTION and (second or "").casefold() in _DENIED_FUNCTIONS
    )
    return sqlite3.SQLITE_DENY if is_denied else sqlite3.SQLITE_OK


def is_same_result(one: Sequence[Row], other: Sequence[Row], *, ordered: bool) -> bool:
    """Return whether two results have the same rows, in the same order if `ordered`; columns by place, not by name."""
    left, right = ([tuple(map(_comparable, row)) for row in rows] for rows in (one, other))
    return left == right if ordered else sorted(left) == sorted(right)


def _comparable(value: Any) -> tuple[str, Any]:
    """Return a value that sorts among all others; sums of floats differ in their last digits by order of summation."""
    if value is None:
        return "", ""
    if isinstance(value, float):
        rounded = float(f"{value:.9g}")
        return "number", int(rounded) if rounded.is_integer() else rounded
    if isinstance(value, int):
        return "number", value
    return ("bytes", value) if isinstance(value, bytes) else ("text", value)
