"""Read rows of Parquet files."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from understudies.importers.recorded_call import SkippedLine

PARQUET_MAGIC: Final = b"PAR1"
_ROWS: Final = 256


def iter_parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]] | SkippedLine]:
    """Yield the rows of a file, numbered from 1, a few in memory at a time."""
    # Imported here: it is large, and installed only with the embedded store.
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        yield SkippedLine(1, "a Parquet file needs pyarrow: install 'understudies[embedded]'")
        return
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _plain(row)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        yield SkippedLine(number + 1, f"the Parquet file is damaged from here on: {str(error)[:120]}")


def _plain(value: Any) -> Any:
    """Convert a value to what JSON would have held."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):  # a map
            return {str(name): _plain(inner) for name, inner in value}
        return [_plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)
