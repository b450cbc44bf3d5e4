"""Read the bytes of a file: gunzipped, and in UTF-8."""

import codecs
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

_CHUNK: Final = 1 << 20
_GZIP_CHUNK: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_UNREADABLE: Final = {
    b"\x28\xb5\x2f\xfd": "the file is compressed with zstd: decompress it first",
    b"PK\x03\x04": "the file is a zip archive: unpack it, and give the folder",
    b"BZh9": "the file is compressed with bzip2: decompress it first",
    b"\xfd7zX": "the file is compressed with xz: decompress it first",
}


class Decompressor:
    """Iterates over the chunks of a file; `error` is the damage at which its content ends early."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: str | None = None
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._chunks()
        first = next(chunks, b"")
        if (reason := _UNREADABLE.get(first[:4])) is not None:
            self.error = reason
            return
        encoding = _UTF16.get(first[:2])
        if encoding is None:
            yield first
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        yield decoder.decode(first[2:]).encode("utf-8", "replace")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "replace")

    def _chunks(self) -> Iterator[bytes]:
        zipped = self._file.read(2) == _GZIP_MAGIC
        self._file.seek(0)
        if zipped:
            yield from self._decompress()
        else:
            yield from iter(lambda: self._file.read(_CHUNK), b"")

    def _decompress(self) -> Iterator[bytes]:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        chunk = self._file.read(_GZIP_CHUNK)
        while chunk:
            try:
                yield stream.decompress(chunk)
            except zlib.error as error:
                self.error = f"the compressed file is damaged from here on: {error}"
                return
            chunk = stream.unused_data.lstrip(b"\0") or self._file.read(_GZIP_CHUNK)
            if stream.eof and chunk:  # a gzip file may consist of several concatenated members
                stream = zlib.decompressobj(_GZIP_WINDOW)
        if not stream.eof:
            self.error = "the compressed file ends early, in this line"
