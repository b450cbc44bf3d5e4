"""The answer on a wire, as it comes."""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from understudies.router.upstream.reply import Broken, TooLarge

_ENOUGH: Final = 262_144
"""Bytes that may wait for a reader before the wire is told to pause."""
_UNPACKED_AT_ONCE: Final = 64_000_000
_FRAMES: Final = frozenset({"content-length", "transfer-encoding"})


class Source(Protocol):
    """Where the pieces come from."""

    def go_on(self) -> None:
        """Send again, after a pause."""
        ...

    def abort(self) -> None:
        """Send no more."""
        ...


class WireReply:
    """A Reply whose pieces are fed by a wire; what is compressed, unasked, is unpacked."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], source: Source) -> None:
        self.status = status
        self._headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self._source: Source | None = source
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._error: Broken | None = None
        self._reader: asyncio.Future[None] | None = None
        self._unpacking = _unpacking(self.header("content-encoding"))

    def headers(self) -> list[tuple[str, str]]:
        return self._headers

    def header(self, name: str) -> str:
        """The first header of a name, in lower case; empty where there is none."""
        for known, value in self._headers:
            if known == name:
                return value
        return ""

    @property
    def framed(self) -> bool:
        """Whether the headers say where the body ends."""
        return not _FRAMES.isdisjoint([name for name, _ in self._headers])

    @property
    def content_type(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    def here(self) -> bytes:
        pieces = self._pieces
        if not pieces:
            if self._error is not None:
                raise self._error
            return b""
        found = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting = 0
        if self._source is not None:
            self._source.go_on()
        return found if self._unpacking is None else self._unpacked(found)

    async def piece(self) -> bytes:
        while not (found := self.here()) and self._source is not None:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return found

    async def whole(self, limit: int, on_piece: Callable[[], None]) -> bytes:
        declared = self.header("content-length")
        if declared.isdecimal() and int(declared) > limit:
            raise TooLarge(f"the answer is larger than {limit} bytes")
        pieces: list[bytes] = []
        size = 0
        while piece := await self.piece():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"the answer is larger than {limit} bytes")
            pieces.append(piece)
            if self._source is not None:
                on_piece()
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
        return self._waiting > _ENOUGH

    def end(self, error: Broken | None = None) -> None:
        """Nothing more comes: the body is whole, unless there is an error."""
        self._source = None
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            found: bytes = self._unpacking.decompress(packed, _UNPACKED_AT_ONCE)
        except zlib.error as error:
            raise Broken("the answer is compressed, and broken") from error
        if self._unpacking.unconsumed_tail:
            raise Broken("the answer is compressed beyond all measure")
        return found


def _unpacking(encoding: str) -> Any:
    """What unpacks a body; None where it is not packed. Raises Broken for what nobody asked for and none can read."""
    if not encoding or encoding.lower() == "identity":
        return None
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise Broken("the answer is compressed, unasked, in a way that is not known here")
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
