"""Read a teacher's HTTP response as it arrives, with flow control and decompression; define transport errors."""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol


class ConnectError(Exception):
    """Raised when no connection was made; nothing was sent."""


class ProtocolError(Exception):
    """Raised when the connection ended, or what arrived is not HTTP."""


class ServerDisconnected(ProtocolError):  # noqa: N818 - the name that aiohttp gives it
    """Raised when the connection ended before the answer began, as when a kept one was just closed."""


class ResponseTooLarge(Exception):  # noqa: N818 - names the condition
    """Raised when the answer exceeds the size limit."""


class HttpResponse(Protocol):
    """An answer whose status and headers have arrived; its body is streamed."""

    @property
    def status(self) -> int: ...

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers, with names in lower case."""
        ...

    @property
    def content_type(self) -> str:
        """The media type in lower case; empty without one."""
        ...

    def read_nowait(self) -> bytes:
        """Return the part of the body that has arrived and was not read; raises ProtocolError."""
        ...

    async def read_chunk(self) -> bytes:
        """Return the next chunk of the body, empty at its end; raises ProtocolError."""
        ...

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        """Return the whole body, calling `on_chunk` after each chunk but the last.

        Raises ResponseTooLarge and ProtocolError.
        """
        ...

    def close(self) -> None:
        """Close the answer; if its body has not ended, the connection is closed rather than read to the end."""
        ...


_PAUSE_ABOVE_BYTES: Final = 262_144
"""Unread bytes above which the connection is paused."""
_MAX_DECOMPRESSED: Final = 64_000_000
_GZIP_BYTE: Final = 0x1F
"""The first byte of each member of gzip, by RFC 1952."""
_MAX_MEMBERS: Final = 1000
"""The most members of gzip that begin in one piece of a body."""
_FRAMING_HEADERS: Final = frozenset({"content-length", "transfer-encoding"})


class ResponseSource(Protocol):
    """The connection that feeds a response."""

    def resume(self) -> None:
        """Resume sending after a pause."""
        ...

    def abort(self) -> None:
        """Abort sending."""
        ...


class StreamedResponse:
    """A response whose chunks are fed by a connection; a body compressed without being asked for is decompressed."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], source: ResponseSource) -> None:
        self.status = status
        self._headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self._first_values = dict(reversed(self._headers))
        self._source: ResponseSource | None = source
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._error: ProtocolError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._decompressor = _make_decompressor(self.header("content-encoding"))

    def headers(self) -> list[tuple[str, str]]:
        return self._headers

    def header(self, name: str) -> str:
        """Return the first header of a name given in lower case; empty if there is none."""
        return self._first_values.get(name, "")

    @property
    def has_framing(self) -> bool:
        """Return whether the headers say where the body ends."""
        return not _FRAMING_HEADERS.isdisjoint(self._first_values)

    @property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    def read_nowait(self) -> bytes:
        chunks = self._chunks
        if not chunks:
            if self._error is not None:
                raise self._error
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._waiting = 0
        if self._source is not None:
            self._source.resume()
        return data if self._decompressor is None else self._decompress(data)

    async def read_chunk(self) -> bytes:
        while not (data := self.read_nowait()) and self._source is not None:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return data

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        declared = self.header("content-length")
        if declared.isdecimal() and int(declared) > limit:
            raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.read_chunk():
            size += len(chunk)
            if size > limit:
                raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
            chunks.append(chunk)
            if self._source is not None:
                on_chunk()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.abort()

    def feed(self, chunk: bytes) -> bool:
        """Add a chunk; return whether the source must pause."""
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        self._wake()
        return self._waiting > _PAUSE_ABOVE_BYTES

    def end(self, error: ProtocolError | None = None) -> None:
        """End the body, which is complete unless there is an error."""
        self._source = None
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _decompress(self, compressed: bytes) -> bytes:
        try:
            assert self._decompressor is not None
            return self._decompressor.decompress(compressed)
        except zlib.error as error:
            raise ProtocolError("the compressed answer is corrupt") from error


class _Decompressor:
    """Decompresses gzip, of one member or several, the zlib format, and the bare data that servers call deflate too."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._member: Any = None
        self._has_begun = False

    def decompress(self, data: bytes) -> bytes:
        """Return what the next piece holds; raises zlib.error and ProtocolError. What follows the data is ignored."""
        parts: list[bytes] = []
        left = _MAX_DECOMPRESSED
        for _ in range(_MAX_MEMBERS):
            if self._member is None:
                if not data or (self._has_begun and not (self._is_gzip and data[0] == _GZIP_BYTE)):
                    break
                self._has_begun = True
                self._member = zlib.decompressobj(self._window_bits(data[0]))
            parts.append(self._member.decompress(data, left))
            left -= len(parts[-1])
            if self._member.unconsumed_tail or left <= 0:
                raise ProtocolError("the decompressed answer is too large")
            data = self._member.unused_data
            if self._member.eof:
                self._member = None
            if not data:
                break
        else:
            raise ProtocolError("the compressed answer has too many members")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _window_bits(self, first: int) -> int:
        if self._is_gzip:
            return zlib.MAX_WBITS | 32
        return zlib.MAX_WBITS if first & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def _make_decompressor(encoding: str) -> _Decompressor | None:
    """Return a decompressor, None for an uncompressed body; raises ProtocolError for an unknown encoding."""
    encoding = encoding.strip().lower()
    if not encoding or encoding == "identity":
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ProtocolError("the answer has an unsupported content encoding")
    return _Decompressor(is_gzip=encoding != "deflate")
