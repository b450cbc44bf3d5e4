"""Write and read one file of a spool: each message follows its length and checksum, so that corruption is detected."""

import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from understudies.runtime.bus.messages import BusMessage

_FRAME_HEAD: Final = struct.Struct(">II")  # length and CRC-32 of the body
_FRAME_BODY: Final = struct.Struct(">HHiI")  # lengths of topic, headers (count), key (-1: none) and value
_MESSAGE_HEADER: Final = struct.Struct(">HI")  # lengths of name and value


class Frame(NamedTuple):
    """A message read back, None if it is corrupt, and the offset of its end."""

    message: BusMessage | None
    end: int


def encode_frame(message: BusMessage) -> bytes:
    """Encode a message as a frame."""
    topic, value, key, headers = message
    name = topic.encode()
    parts = [
        _FRAME_BODY.pack(len(name), len(headers), -1 if key is None else len(key), len(value)),
        name,
        key or b"",
        value,
    ]
    for title, content in headers:
        encoded = title.encode()
        parts += (_MESSAGE_HEADER.pack(len(encoded), len(content)), encoded, content)
    body = b"".join(parts)
    return _FRAME_HEAD.pack(len(body), zlib.crc32(body)) + body


def decode_frames(data: bytes) -> Iterator[Frame]:
    """Decode the leading frames of the data, up to an incomplete one; a corrupt one is skipped by its length."""
    at = 0
    while (end := _frame_end(data, at)) is not None:
        body = data[at + _FRAME_HEAD.size : end]
        yield Frame(_decode_message(body) if zlib.crc32(body) == _FRAME_HEAD.unpack_from(data, at)[1] else None, end)
        at = end


def frame_size(data: bytes) -> int:
    """Return the size of the frame at the beginning of the data; 0 if there is none."""
    if len(data) < _FRAME_HEAD.size:
        return 0
    length: int = _FRAME_HEAD.unpack_from(data)[0]
    return _FRAME_HEAD.size + length if length >= _FRAME_BODY.size else 0


def _frame_end(data: bytes, at: int) -> int | None:
    """Return the end of the frame at an offset; None if it is not complete."""
    if len(data) - at < _FRAME_HEAD.size:
        return None
    length: int = _FRAME_HEAD.unpack_from(data, at)[0]
    end = at + _FRAME_HEAD.size + length
    return end if length >= _FRAME_BODY.size and end <= len(data) else None


def _decode_message(body: bytes) -> BusMessage | None:
    try:
        return _decode_body(body)
    except (struct.error, UnicodeDecodeError):
        return None


def _decode_body(body: bytes) -> BusMessage:
    topic_size, header_count, key_size, value_size = _FRAME_BODY.unpack_from(body)
    at = _FRAME_BODY.size
    topic, at = body[at : at + topic_size].decode(), at + topic_size
    key, at = (None, at) if key_size < 0 else (body[at : at + key_size], at + key_size)
    value, at = body[at : at + value_size], at + value_size
    headers: list[tuple[str, bytes]] = []
    for _ in range(header_count):
        name_size, content_size = _MESSAGE_HEADER.unpack_from(body, at)
        name_end = at + _MESSAGE_HEADER.size + name_size
        headers.append((body[at + _MESSAGE_HEADER.size : name_end].decode(), body[name_end : name_end + content_size]))
        at = name_end + content_size
    return BusMessage(topic, value, key, tuple(headers))


_SUFFIX: Final = ".spool"
_CHUNK: Final = 1024 * 1024


class SegmentRead(NamedTuple):
    """Messages of a segment, the offset of the next one, and the number of unreadable frames skipped."""

    messages: Sequence[BusMessage]
    end: int
    corrupt: int


class Segment:
    """A file of consecutive frames, appended at the end and read from any frame; blocks and raises OSError.

    Its name holds its number and its time of creation.
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
        """Create a new file, open for writing."""
        segment = cls(folder / f"{number:012d}-{int(time.time() * 1000)}{_SUFFIX}", 0)
        segment._writer = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return segment

    @classmethod
    def list_folder(cls, folder: Path) -> "list[Segment]":
        """Return the segments in a folder, oldest first."""
        return [cls(path, path.stat().st_size) for path in sorted(folder.glob(f"*-*{_SUFFIX}"))]

    def append(self, frames: bytes) -> None:
        """Append frames, all or none: a partial write on a full disk is rolled back."""
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
        """Read one or more messages from an offset, none at the end; a truncated end counts as corrupt."""
        messages: list[BusMessage] = []
        corrupt = 0
        with self.path.open("rb", buffering=0) as file:
            while at < self.size and not messages:
                data = self._frames(file.fileno(), at)
                if data is None:
                    return SegmentRead((), self.size, corrupt + 1)
                start = at
                for message, end in decode_frames(data):
                    at = start + end
                    if message is None:
                        corrupt += 1
                    else:
                        messages.append(message)
                    if len(messages) == limit:
                        break
        return SegmentRead(messages, at, corrupt)

    def sync(self) -> None:
        """Sync written data to disk."""
        if self._writer is not None:
            os.fsync(self._writer)

    def close(self) -> None:
        """Sync, and close for writing."""
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
        """Read bytes from an offset that hold at least one frame; None if no complete one follows."""
        rest = self.size - at
        data = os.pread(file, min(_CHUNK, rest), at)
        frame_bytes = frame_size(data)
        if not 0 < frame_bytes <= rest:
            return None
        return data if frame_bytes <= len(data) else os.pread(file, frame_bytes, at)
