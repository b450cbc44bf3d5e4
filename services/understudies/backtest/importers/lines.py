"""The records of a file: one JSON object a line, an array, or an object with `data`, plain or gzipped."""

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from understudies.backtest.importers.parsing import NotACall, parsed
from understudies.backtest.recorded import Broken

_CHUNK = 1 << 20
_GZIP_CHUNK = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31

Numbered = tuple[int, bytes]
Record = tuple[int, dict[str, Any]]


def records(path: Path) -> Iterator[Record | Broken]:
    """The records of a file in order, numbered from 1 by line or by element, and what is none."""
    with path.open("rb") as file:
        lines = _Lines(file)
        first = next((line for line in lines if line[1].strip()), None)
        if first is not None:
            yield from _records(first, lines)
        elif lines.damage:
            yield Broken(1, lines.damage)


def _records(first: Numbered, lines: "_Lines") -> Iterator[Record | Broken]:
    rest: Iterable[Numbered] = lines
    value = _value(first[1])
    if not isinstance(value, dict):
        # Not one object a line, or a first line that is broken: only the whole can tell.
        rest = list(lines)
        value = None if lines.damage else _value(b"\n".join(line for _, line in (first, *rest)))
        value = _elements(value) or ([value] if isinstance(value, dict) else value)
    elements = _elements(value)
    if elements is not None:
        yield from (_numbered(number, element) for number, element in enumerate(elements, 1))
        first = (first[0], b"")
        rest = () if isinstance(rest, list) else rest
    yield from _by_line(chain((first,), rest), lines)


def _by_line(numbered: Iterable[Numbered], lines: "_Lines") -> Iterator[Record | Broken]:
    last: Record | Broken | None = None
    for number, line in numbered:
        bare = _bare(line)
        if not bare:
            continue
        try:
            last = _numbered(number, parsed(bare))
        except NotACall as error:
            last = Broken(number, lines.damage if lines.cut == number and lines.damage else str(error))
        yield last
    if lines.damage and not (isinstance(last, Broken) and last.reason == lines.damage):
        yield Broken(lines.number + 1, lines.damage)


def _bare(line: bytes) -> bytes:
    """The line without what an array of one object a line adds to it."""
    bare = line.strip().removesuffix(b",")
    if bare[:1] == b"[" and bare[-1:] != b"]":
        bare = bare[1:]
    return b"" if bare in (b"[", b"]", b"[]") else bare


def _value(text: bytes) -> object:
    try:
        return parsed(text)
    except NotACall:
        return None


def _elements(value: object) -> list[Any] | None:
    if isinstance(value, list):
        return value
    data = value.get("data") if isinstance(value, dict) and "messages" not in value else None
    return data if isinstance(data, list) else None


def _numbered(number: int, value: object) -> Record | Broken:
    if isinstance(value, dict):
        return number, value
    names = {list: "an array", str: "text", bool: "a truth value", type(None): "null"}
    return Broken(number, f"not a JSON object but {names.get(type(value), 'a number')}")


class _Lines:
    """Numbered lines of a file, decompressed; `cut` is the line in which a damaged stream stopped."""

    def __init__(self, file: BinaryIO) -> None:
        self.number = 0
        self.cut: int | None = None
        self.damage: str | None = None
        self._lines = self._read(file)

    def __iter__(self) -> Iterator[Numbered]:
        return self._lines

    def _read(self, file: BinaryIO) -> Iterator[Numbered]:
        parts: list[bytes] = []
        for chunk in self._chunks(file):
            *ended, rest = chunk.split(b"\n")
            for end in ended:
                parts.append(end)
                yield self._next(parts)
            parts.append(rest)
        if any(parts):
            if self.damage:
                self.cut = self.number + 1
            yield self._next(parts)

    def _next(self, parts: list[bytes]) -> Numbered:
        line = b"".join(parts)
        parts.clear()
        self.number += 1
        return self.number, line.removeprefix(codecs.BOM_UTF8) if self.number == 1 else line

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        zipped = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if zipped:
            yield from self._inflated(file)
        else:
            yield from iter(lambda: file.read(_CHUNK), b"")

    def _inflated(self, file: BinaryIO) -> Iterator[bytes]:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        chunk = file.read(_GZIP_CHUNK)
        while chunk:
            try:
                yield stream.decompress(chunk)
            except zlib.error as error:
                self.damage = f"the compressed file is damaged from here on: {error}"
                return
            chunk = stream.unused_data.lstrip(b"\0") or file.read(_GZIP_CHUNK)
            if stream.eof and chunk:  # gzip files may be members joined end to end
                stream = zlib.decompressobj(_GZIP_WINDOW)
        if not stream.eof:
            self.damage = "the compressed file ends early, in this line"
