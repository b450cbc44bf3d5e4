"""Read a teacher's HTTP response as it arrives, with flow control and decompression; the errors of transport."""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol


class ConnectError(Exception):
    """No connection was made; nothing was sent."""


class ProtocolError(Exception):
    """The connection ended, or what came over it is not HTTP."""


class ServerDisconnected(ProtocolError):  # noqa: N818 - the name that aiohttp gives it
    """The connection ended before a byte of the answer came, as where a kept one was closed just then."""


class ResponseTooLarge(Exception):  # noqa: N818 - what the answer is
    """The answer is larger than it may be."""


class HttpResponse(Protocol):
    """An answer whose status and headers have come; its body comes in pieces."""

    @property
    def status(self) -> int: ...

    def headers(self) -> list[tuple[str, str]]:
        """The headers with their names in lower case."""
        ...

    @property
    def content_type(self) -> str:
        """The media type, in lower case; empty where there is none."""
        ...

    def read_nowait(self) -> bytes:
        """What has come already of the body and was not read; raises ProtocolError."""
        ...

    async def read_chunk(self) -> bytes:
        """The next piece of the body, empty at its end; raises ProtocolError."""
        ...

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        """The whole body; `on_chunk` is called for all but the last. Raises ResponseTooLarge, and ProtocolError."""
        ...

    def close(self) -> None:
        """End it: a connection on which the body has not ended is closed, not read to its end."""
        ...


_PAUSE_ABOVE_BYTES: Final = 262_144
"""Bytes that may wait for a reader before the connection is told to pause."""
_MAX_DECOMPRESSED: Final = 64_000_000
_FRAMING_HEADERS: Final = frozenset({"content-length", "transfer-encoding"})


class ResponseSource(Protocol):
    """Where the pieces come from."""

    def resume(self) -> None:
        """Send again, after a pause."""
        ...

    def abort(self) -> None:
        """Send no more."""
        ...


class StreamedResponse:
    """A response whose chunks are fed by a connection; what is compressed, unasked, is unpacked."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], source: ResponseSource) -> None:
        self.status = status
        self._headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self._source: ResponseSource | None = source
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._error: ProtocolError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._decompressor = _make_decompressor(self.header("content-encoding"))

    def headers(self) -> list[tuple[str, str]]:
        return self._headers

    def header(self, name: str) -> str:
        """The first header of a name, in lower case; empty where there is none."""
        for known, value in self._headers:
            if known == name:
                return value
        return ""

    @property
    def has_framing(self) -> bool:
        """Whether the headers say where the body ends."""
        return not _FRAMING_HEADERS.isdisjoint([name for name, _ in self._headers])

    @property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    def read_nowait(self) -> bytes:
        pieces = self._pieces
        if not pieces:
            if self._error is not None:
                raise self._error
            return b""
        found = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting = 0
        if self._source is not None:
            self._source.resume()
        return found if self._decompressor is None else self._decompress(found)

    async def read_chunk(self) -> bytes:
        while not (found := self.read_nowait()) and self._source is not None:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return found

    async def read_all(self, limit: int, on_chunk: Callable[[], None]) -> bytes:
        declared = self.header("content-length")
        if declared.isdecimal() and int(declared) > limit:
            raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read_chunk():
            size += len(piece)
            if size > limit:
                raise ResponseTooLarge(f"the answer is larger than {limit} bytes")
            pieces.append(piece)
            if self._source is not None:
                on_chunk()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.abort()

    def feed(self, piece: bytes) -> bool:
        """Take a piece; returns whether the source has to pause."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        self._wake()
        return self._waiting > _PAUSE_ABOVE_BYTES

    def end(self, error: ProtocolError | None = None) -> None:
        """Nothing more comes: the body is whole, unless there is an error."""
        self._source = None
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _decompress(self, packed: bytes) -> bytes:
        try:
            found: bytes = self._decompressor.decompress(packed, _MAX_DECOMPRESSED)
        except zlib.error as error:
            raise ProtocolError("the answer is compressed, and broken") from error
        if self._decompressor.unconsumed_tail:
            raise ProtocolError("the answer is compressed beyond all measure")
        return found


def _make_decompressor(encoding: str) -> Any:
    """What unpacks a body; None where it is not packed. Raises ProtocolError for an encoding that is not known."""
    if not encoding or encoding.lower() == "identity":
        return None
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise ProtocolError("the answer is compressed, unasked, in a way that is not known here")
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
