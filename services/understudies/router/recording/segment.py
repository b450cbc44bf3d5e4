"""One file of a spool."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from understudies.router.recording.frames import decode_frames, frame_size
from understudies.runtime import BusMessage

_SUFFIX: Final = ".spool"
_CHUNK: Final = 1024 * 1024


class SegmentRead(NamedTuple):
    """Messages of a segment, where the next one is, and how many unreadable frames were passed over."""

    messages: Sequence[BusMessage]
    end: int
    corrupt: int


class Segment:
    """Frames one behind the other, written to the end and read from any frame on; it blocks and raises OSError.

    Its name holds its number and when it was begun.
    """

    def __init__(self, path: Path, size: int) -> None:
        number, milliseconds = path.name.removesuffix(_SUFFIX).split("-")
        self.path = path
        self.number = int(number)
        self.created_at = int(milliseconds) / 1000
        self.size = size
        self._writer: int | None = None

    @classmethod
    def create(cls, folder: Path, number: int) -> "Segment":
        """A new file, open for writing."""
        segment = cls(folder / f"{number:012d}-{int(time.time() * 1000)}{_SUFFIX}", 0)
        segment._writer = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return segment

    @classmethod
    def list_folder(cls, folder: Path) -> "list[Segment]":
        """The files that are in a folder, oldest first."""
        return [cls(path, path.stat().st_size) for path in sorted(folder.glob(f"*-*{_SUFFIX}"))]

    def append(self, frames: bytes) -> None:
        """Write frames to the end, all or none: what a full disk cut off is taken back."""
        if self._writer is None:
            raise ValueError(f"{self.path.name!r} is not open for writing")
        rest = memoryview(frames)
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except OSError:
            os.ftruncate(self._writer, self.size)
            os.lseek(self._writer, self.size, os.SEEK_SET)
            raise
        self.size += len(frames)

    def read(self, at: int, limit: int) -> SegmentRead:
        """One or more of the messages from a place on, none at the end; an end that was cut off counts as spoilt."""
        messages: list[BusMessage] = []
        spoilt = 0
        with self.path.open("rb", buffering=0) as file:
            while at < self.size and not messages:
                data = self._frames(file.fileno(), at)
                if data is None:
                    return SegmentRead((), self.size, spoilt + 1)
                begun = at
                for message, end in decode_frames(data):
                    at = begun + end
                    if message is None:
                        spoilt += 1
                    else:
                        messages.append(message)
                    if len(messages) == limit:
                        break
        return SegmentRead(messages, at, spoilt)

    def sync(self) -> None:
        """Have the disk hold what was written."""
        if self._writer is not None:
            os.fsync(self._writer)

    def close(self) -> None:
        """Sync, and end writing."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                os.fsync(writer)
            finally:
                os.close(writer)

    def remove(self) -> None:
        """Delete the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)
        self.path.unlink(missing_ok=True)

    def _frames(self, file: int, at: int) -> bytes | None:
        """Bytes from a place on that hold at least one frame, or None where no whole one follows."""
        rest = self.size - at
        data = os.pread(file, min(_CHUNK, rest), at)
        wanted = frame_size(data)
        if not 0 < wanted <= rest:
            return None
        return data if wanted <= len(data) else os.pread(file, wanted, at)
