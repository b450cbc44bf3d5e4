"""The spool: messages that wait on disk for a bus that is away."""

import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from understudies.router.recording.spool.segment import Segment, encode_frame
from understudies.runtime.bus.messages import BusMessage

_OFFSET_STRUCT: Final = struct.Struct(">QQ")
_CURSOR_STRUCT: Final = struct.Struct(">QQI")  # number of the segment, place in it, CRC-32 of both
_SEGMENT_BYTES: Final = 16 * 1024 * 1024


class SpoolOffset(NamedTuple):
    """Where the next message is: the number of a segment, and a place in it."""

    segment: int
    offset: int


class ReadResult(NamedTuple):
    """The oldest messages: where those behind them begin, and how many unreadable ones were passed over."""

    messages: Sequence[BusMessage]
    end: SpoolOffset
    corrupt: int


class Spool:
    """First in, first out, in a folder that one process has to itself. All of it blocks and raises OSError.

    What was written survives the end of the process in any way: a write that was cut off is told by its checksum
    and passed over. It survives the end of the machine once it is synced, which its owner asks for. What was
    acknowledged is not read again, except after the end of the machine. When `limit_bytes` are full, the newest
    are refused, so that what was recorded is an unbroken run of calls.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int,
        segment_bytes: int = _SEGMENT_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._segment_bytes = segment_bytes
        self._now = now
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cursor = os.open(folder / "acknowledged", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._next, self._segments = self._load()
        self._writing: Segment | None = None
        self._unsynced = False

    @property
    def is_empty(self) -> bool:
        """Whether everything was acknowledged."""
        return not self._segments

    @property
    def size(self) -> int:
        """What is not acknowledged yet."""
        segments = list(self._segments)
        read = self._next.offset if segments and segments[0].number == self._next.segment else 0
        return sum(segment.size for segment in segments) - read

    @property
    def segments(self) -> int:
        """Files in the folder."""
        return len(self._segments)

    @property
    def age_s(self) -> float:
        """How long ago the oldest segment was begun."""
        segments = list(self._segments)
        return max(0.0, self._now() - segments[0].created_at) if segments else 0.0

    def append(self, messages: Sequence[BusMessage]) -> int:
        """Write messages behind the others; returns how many found room, all before the first that did not."""
        room = self._limit - self.size
        taken: list[bytes] = []
        for message in messages:
            frame = encode_frame(message)
            room -= len(frame)
            if room < 0:
                break
            taken.append(frame)
        if taken:
            self._write(b"".join(taken))
        return len(taken)

    def read(self, limit: int) -> ReadResult:
        """The oldest messages not acknowledged, at most so many and about a megabyte; none where none is left."""
        at, spoilt = self._next, 0
        for segment in self._segments:
            found = segment.read(at.offset if segment.number == at.segment else 0, limit)
            at = SpoolOffset(segment.number, found.end)
            spoilt += found.corrupt
            if found.messages:
                return ReadResult(found.messages, at, spoilt)
        return ReadResult((), at, spoilt)

    def acknowledge(self, end: SpoolOffset) -> None:
        """Never read again what is before a place; files that were read to their end are deleted."""
        self._next = end
        os.pwrite(self._cursor, _CURSOR_STRUCT.pack(*end, zlib.crc32(_OFFSET_STRUCT.pack(*end))), 0)
        while self._segments and self._is_done(self._segments[0]):
            segment = self._segments.popleft()
            if segment is self._writing:
                self._writing = None
            segment.remove()

    def sync(self) -> None:
        """Have the disk hold what was written since the last time."""
        if self._unsynced and self._writing is not None:
            self._writing.sync()
        self._unsynced = False

    def close(self) -> None:
        """Sync and close; the folder is left as it is."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.close()
        finally:
            os.close(self._cursor)

    def _is_done(self, segment: Segment) -> bool:
        return (segment.number, segment.size) <= self._next

    def _write(self, frames: bytes) -> None:
        segment = self._open()
        try:
            segment.append(frames)
        except OSError:
            if segment.size == 0:
                self._writing = None
                self._segments.pop().remove()
            raise
        self._unsynced = True

    def _open(self) -> Segment:
        """The segment that is written to: a new one once the last is large, and for each run."""
        if self._writing is not None and self._writing.size >= self._segment_bytes:
            writing, self._writing = self._writing, None
            writing.close()
        if self._writing is None:
            newest = self._segments[-1].number if self._segments else 0
            # Above the cursor too: a number once read to some place must not come again with other messages.
            self._writing = Segment.create(self._folder, max(newest, self._next.segment) + 1)
            self._segments.append(self._writing)
        return self._writing

    def _load(self) -> tuple[SpoolOffset, deque[Segment]]:
        """Where reading goes on, and the files from there."""
        segments = deque(Segment.list_folder(self._folder))
        place = self._read_cursor()
        while segments and segments[0].number < place.segment:
            segments.popleft().remove()
        return place, segments

    def _read_cursor(self) -> SpoolOffset:
        data = os.pread(self._cursor, _CURSOR_STRUCT.size, 0)
        if len(data) == _CURSOR_STRUCT.size:
            segment, offset, check = _CURSOR_STRUCT.unpack(data)
            if check == zlib.crc32(_OFFSET_STRUCT.pack(segment, offset)):
                return SpoolOffset(segment, offset)
        return SpoolOffset(0, 0)
