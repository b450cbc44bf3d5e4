"""Split a file into records: JSON lines, an array, objects joined without newlines, CSV, Parquet."""

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from understudies.importers.csv_rows import iter_csv_rows, read_header
from understudies.importers.decompression import Decompressor
from understudies.importers.json_parsing import NotARecordedCall, parse_json, split_concatenated
from understudies.importers.parquet_rows import PARQUET_MAGIC, iter_parquet_rows
from understudies.importers.recorded_call import SkippedLine

NumberedLine = tuple[int, bytes]
NumberedRecord = tuple[int, dict[str, Any]]
_CSV_SUFFIXES: Final = frozenset({".csv", ".tsv"})


def iter_records(path: Path) -> Iterator[NumberedRecord | SkippedLine]:
    """Yield the records of a file in order, numbered from 1 by line or by element, and the lines that hold none."""
    with path.open("rb") as file:
        if file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
            yield from iter_parquet_rows(path)
            return
        file.seek(0)
        lines = _LineReader(file)
        first = next((line for line in lines if line[1].strip()), None)
        if first is not None:
            is_csv = bool(_CSV_SUFFIXES & set(path.suffixes))
            yield from _iter_from_first(first, lines, is_csv=is_csv)
        elif lines.error:
            yield SkippedLine(1, lines.error)


def _iter_from_first(
    first: NumberedLine, lines: "_LineReader", *, is_csv: bool
) -> Iterator[NumberedRecord | SkippedLine]:
    header = read_header(first[1], is_csv=is_csv)
    if header is not None:
        yield from iter_csv_rows(header, chain((first,), lines))
        return
    rest: Iterable[NumberedLine] = lines
    value = _parse_or_none(first[1])
    if not isinstance(value, dict):
        # Not one object per line, or a malformed first line: only the whole file shows which.
        rest = list(lines)
        text = b"\n".join(line for _, line in (first, *rest))
        value = None if lines.error else _parse_or_none(text)
        if value is None and not lines.error and text.lstrip()[:1] == b"{" and not _parse_many(first[1]):
            value = _parse_many(text)
        value = _array_elements(value) or ([value] if isinstance(value, dict) else value)
    elements = _array_elements(value)
    if elements is not None:
        yield from (_check_record(number, element) for number, element in enumerate(elements, 1))
        first = (first[0], b"")
        rest = () if isinstance(rest, list) else rest
    yield from _iter_lines(chain((first,), rest), lines)


def _iter_lines(numbered: Iterable[NumberedLine], lines: "_LineReader") -> Iterator[NumberedRecord | SkippedLine]:
    last: NumberedRecord | SkippedLine | None = None
    for number, line in numbered:
        if line[:1] == b"{" and line[-1:] == b"}":
            try:
                last = number, orjson.loads(line)
            except orjson.JSONDecodeError:
                pass  # read leniently below
            else:
                yield last
                continue
        bare = _strip_array_syntax(line)
        if not bare:
            continue
        try:
            last = _check_record(number, parse_json(bare))
        except NotARecordedCall as error:
            if joined := _parse_many(bare):
                yield from (_check_record(number, value) for value in joined)
                continue
            last = SkippedLine(number, lines.error if lines.truncated_line == number and lines.error else str(error))
        yield last
    if lines.error and not (isinstance(last, SkippedLine) and last.reason == lines.error):
        yield SkippedLine(lines.number + 1, lines.error)


def _strip_array_syntax(line: bytes) -> bytes:
    """Remove the brackets and commas that an array with one object per line adds to a line."""
    if line[:1] == b"{" and line[-1:] == b"}":
        return line
    bare = line.strip().removesuffix(b",")
    if bare[:1] == b"[" and bare[-1:] != b"]":
        bare = bare[1:]
    return b"" if bare in (b"[", b"]", b"[]") else bare


def _parse_or_none(text: bytes) -> object:
    try:
        return parse_json(text)
    except NotARecordedCall:
        return None


def _parse_many(text: bytes) -> list[Any] | None:
    """Parse objects that are joined without newlines; returns None unless there are several and nothing else."""
    values = split_concatenated(text)
    return values if values is not None and len(values) > 1 else None


def _array_elements(value: object) -> list[Any] | None:
    if isinstance(value, list):
        return [value] if _is_transcript(value) else value
    data = value.get("data") if isinstance(value, dict) and "messages" not in value else None
    return data if isinstance(data, list) else None


def _check_record(number: int, value: object) -> NumberedRecord | SkippedLine:
    if isinstance(value, dict):
        return number, value
    if _is_transcript(value):
        return number, {"messages": value}
    names = {list: "an array", str: "text", bool: "a truth value", type(None): "null"}
    return SkippedLine(number, f"not a JSON object but {names.get(type(value), 'a number')}")


def _is_transcript(value: object) -> bool:
    """Return whether a list holds the messages of one call, without anything around them."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(item, dict) and "role" in item and "content" in item and "id" not in item for item in value)
    )


class _LineReader:
    """Iterates over the decompressed, numbered lines of a file.

    `truncated_line` is the number of the line in which a damaged stream ended, and `error` the damage.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.number = 0
        self.truncated_line: int | None = None
        self._content = Decompressor(file)
        self._lines = self._read()

    @property
    def error(self) -> str | None:
        return self._content.error

    def __iter__(self) -> Iterator[NumberedLine]:
        return self._lines

    def _read(self) -> Iterator[NumberedLine]:
        parts: list[bytes] = []
        for chunk in self._content:
            *ended, rest = chunk.split(b"\n")
            for end in ended:
                if parts:
                    parts.append(end)
                    end = b"".join(parts)
                    parts.clear()
                if self.number:
                    self.number += 1
                    yield self.number, end
                else:
                    yield self._next(end)
            if rest:
                parts.append(rest)
        if parts:
            if self.error:
                self.truncated_line = self.number + 1
            yield self._next(b"".join(parts))

    def _next(self, line: bytes) -> NumberedLine:
        self.number += 1
        return self.number, line.removeprefix(codecs.BOM_UTF8) if self.number == 1 else line
