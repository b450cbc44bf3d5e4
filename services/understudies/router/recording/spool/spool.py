"""Keep messages on disk while the bus is unavailable."""

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
_CURSOR_STRUCT: Final = struct.Struct(">QQI")  # number of the segment, offset in it, CRC-32 of both
_SEGMENT_BYTES: Final = 16 * 1024 * 1024


class SpoolOffset(NamedTuple):
    """The position of the next message: the number of a segment, and an offset in it."""

    segment: int
    offset: int


class ReadResult(NamedTuple):
    """The oldest messages, the position after them, and the number of unreadable ones skipped."""

    messages: Sequence[BusMessage]
    end: SpoolOffset
    corrupt: int


class Spool:
    """A FIFO queue in a folder used by one process only; all methods block and raise OSError.

    Written messages survive any end of the process: a truncated write is detected by its checksum and skipped. They
    survive a crash of the machine once synced, which the owner requests. Acknowledged messages are not read again,
    except after a crash of the machine. When `limit_bytes` are full, the newest messages are refused, so that the
    recorded ones are an unbroken run of calls.
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
        """Return whether everything was acknowledged."""
        return not self._segments

    @property
    def size(self) -> int:
        """The number of bytes not acknowledged yet."""
        segments = list(self._segments)
        read = self._next.offset if segments and segments[0].number == self._next.segment else 0
        return sum(segment.size for segment in segments) - read

    @property
    def segments(self) -> int:
        """The number of files in the folder."""
        return len(self._segments)

    @property
    def age_s(self) -> float:
        """The age of the oldest segment in seconds."""
        segments = list(self._segments)
        return max(0.0, self._now() - segments[0].created_at) if segments else 0.0

    def append(self, messages: Sequence[BusMessage]) -> int:
        """Append messages; return how many found room, always the first ones."""
        room = self._limit - self.size
        frames: list[bytes] = []
        for message in messages:
            frame = encode_frame(message)
            room -= len(frame)
            if room < 0:
                break
            frames.append(frame)
        if frames:
            self._write(b"".join(frames))
        return len(frames)

    def read(self, limit: int) -> ReadResult:
        """Return the oldest messages not acknowledged, at most `limit` and about a megabyte; none at the end."""
        at, corrupt = self._next, 0
        for segment in self._segments:
            result = segment.read(at.offset if segment.number == at.segment else 0, limit)
            at = SpoolOffset(segment.number, result.end)
            corrupt += result.corrupt
            if result.messages:
                return ReadResult(result.messages, at, corrupt)
        return ReadResult((), at, corrupt)

    def acknowledge(self, end: SpoolOffset) -> None:
        """Acknowledge all messages before a position; delete the files that were read to their end."""
        self._next = end
        os.pwrite(self._cursor, _CURSOR_STRUCT.pack(*end, zlib.crc32(_OFFSET_STRUCT.pack(*end))), 0)
        while self._segments and self._is_done(self._segments[0]):
            segment = self._segments.popleft()
            if segment is self._writing:
                self._writing = None
            segment.remove()

    def sync(self) -> None:
        """Sync to disk what was written since the last call."""
        if self._unsynced and self._writing is not None:
            self._writing.sync()
        self._unsynced = False

    def close(self) -> None:
        """Sync and close; the folder is kept."""
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
        """Return the segment to write to: a new one for each run, and once the last one is large."""
        if self._writing is not None and self._writing.size >= self._segment_bytes:
            writing, self._writing = self._writing, None
            writing.close()
        if self._writing is None:
            newest = self._segments[-1].number if self._segments else 0
            # Stay above the cursor too: a segment number that was partly read must not be reused for other messages.
            self._writing = Segment.create(self._folder, max(newest, self._next.segment) + 1)
            self._segments.append(self._writing)
        return self._writing

    def _load(self) -> tuple[SpoolOffset, deque[Segment]]:
        """Load the read position, and the files from there on."""
        segments = deque(Segment.list_folder(self._folder))
        position = self._read_cursor()
        while segments and segments[0].number < position.segment:
            segments.popleft().remove()
        return position, segments

    def _read_cursor(self) -> SpoolOffset:
        data = os.pread(self._cursor, _CURSOR_STRUCT.size, 0)
        if len(data) == _CURSOR_STRUCT.size:
            segment, offset, check = _CURSOR_STRUCT.unpack(data)
            if check == zlib.crc32(_OFFSET_STRUCT.pack(segment, offset)):
                return SpoolOffset(segment, offset)
        return SpoolOffset(0, 0)
