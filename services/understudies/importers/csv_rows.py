"""Read rows of CSV files, whose cells hold JSON where the tools' own exports have objects."""

import ast
import csv
from collections.abc import Iterable, Iterator
from typing import Any, Final

from understudies.importers.json_parsing import parse_embedded_json
from understudies.importers.known_fields import COLUMNS, canonical_column
from understudies.importers.recorded_call import SkippedLine

_DELIMITERS: Final = (",", "\t", ";", "|")
_TEXT_COLUMNS: Final = frozenset({"output", "answer", "completion", "content", "generation"})
"""Columns that may hold an answer in JSON, whose text is the answer."""
_REPLY_FIELDS: Final = frozenset(
    {"choices", "content", "candidates", "body", "output", "status", "error", "object", "message"}
)
_LONGEST_CELL: Final = 1 << 30
_MIN_COLUMNS: Final = 2


class Header:
    """The names of a CSV file's columns, and the character between them."""

    def __init__(self, names: list[str], delimiter: str) -> None:
        self.names = [canonical_column(name) for name in names]
        self.delimiter = delimiter


def read_header(line: bytes, *, is_csv: bool) -> Header | None:
    """Read a file's first line as the header of CSV; None if it is not one.

    A file that is not named as CSV is one if a column has a name that a known format has.
    """
    try:
        text = line.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        return None
    if text.lstrip()[:1] in ("{", "[") or not text.strip():
        return None
    for delimiter in _DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
        except csv.Error:
            return None
        if len(names) >= _MIN_COLUMNS and all(names):
            header = Header(names, delimiter)
            if is_csv or len(COLUMNS.intersection(header.names)) >= _MIN_COLUMNS:
                return header
    return None


def iter_csv_rows(
    header: Header, lines: Iterable[tuple[int, bytes]]
) -> Iterator[tuple[int, dict[str, Any]] | SkippedLine]:
    """Yield the rows after the header, numbered by the line in which each begins."""
    numbers = _Lines(lines)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(numbers, delimiter=header.delimiter)
    next(reader, None)
    while True:
        start = numbers.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield SkippedLine(start, f"not a row of CSV: {error}")
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header.names):
            yield SkippedLine(start, f"a row of {len(row)} cells under {len(header.names)} columns")
            continue
        yield start, {name: _read_cell(name, cell) for name, cell in zip(header.names, row, strict=False)}


class _Lines:
    """Iterates over the decoded lines, and knows the number of the last one."""

    def __init__(self, lines: Iterable[tuple[int, bytes]]) -> None:
        self.number = 0
        self._lines = iter(lines)

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            yield line.decode("utf-8", "replace").replace("\0", "") + "\n"


def _read_cell(name: str, cell: str) -> Any:
    text = cell.strip()
    if not text:
        return None
    if text[0] not in "{[" or name in _TEXT_COLUMNS:
        return cell
    value = parse_embedded_json(text)
    if isinstance(value, str):
        value = _read_literal(text)
    if name == "response" and isinstance(value, dict) and value.keys().isdisjoint(_REPLY_FIELDS):
        return cell
    return value


def _read_literal(text: str) -> Any:
    """Read an object as Python writes it, as in files that pandas wrote; any other text is returned unchanged."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
    return value if isinstance(value, dict | list) else text
