"""Messages as bytes of a file: each behind its length and checksum, so that a torn or spoilt one is told."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from understudies.runtime import Message

_HEAD: Final = struct.Struct(">II")  # length and CRC-32 of the body
_BODY: Final = struct.Struct(">HHiI")  # length of topic, number of headers, length of key (-1: none) and of value
_HEADER: Final = struct.Struct(">HI")  # length of name and value


class Frame(NamedTuple):
    """A message read back, None where it is spoilt, and where it ends."""

    message: Message | None
    end: int


def framed(message: Message) -> bytes:
    """The bytes of a message."""
    topic, value, key, headers = message
    name = topic.encode()
    parts = [_BODY.pack(len(name), len(headers), -1 if key is None else len(key), len(value)), name, key or b"", value]
    for title, content in headers:
        encoded = title.encode()
        parts += (_HEADER.pack(len(encoded), len(content)), encoded, content)
    body = b"".join(parts)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def frames(data: bytes) -> Iterator[Frame]:
    """The frames that begin the data, up to one that is not whole; a spoilt one is passed over by its length."""
    at = 0
    while (end := _end(data, at)) is not None:
        body = data[at + _HEAD.size : end]
        yield Frame(_message(body) if zlib.crc32(body) == _HEAD.unpack_from(data, at)[1] else None, end)
        at = end


def needed(data: bytes) -> int:
    """How long the frame is that begins the data; 0 where none does."""
    if len(data) < _HEAD.size:
        return 0
    length: int = _HEAD.unpack_from(data)[0]
    return _HEAD.size + length if length >= _BODY.size else 0


def _end(data: bytes, at: int) -> int | None:
    """Where the frame at a place ends; None where there is no whole one."""
    if len(data) - at < _HEAD.size:
        return None
    length: int = _HEAD.unpack_from(data, at)[0]
    end = at + _HEAD.size + length
    return end if length >= _BODY.size and end <= len(data) else None


def _message(body: bytes) -> Message | None:
    try:
        return _read(body)
    except (struct.error, UnicodeDecodeError):
        return None


def _read(body: bytes) -> Message:
    topic_size, header_count, key_size, value_size = _BODY.unpack_from(body)
    at = _BODY.size
    topic, at = body[at : at + topic_size].decode(), at + topic_size
    key, at = (None, at) if key_size < 0 else (body[at : at + key_size], at + key_size)
    value, at = body[at : at + value_size], at + value_size
    headers: list[tuple[str, bytes]] = []
    for _ in range(header_count):
        name_size, content_size = _HEADER.unpack_from(body, at)
        middle = at + _HEADER.size + name_size
        headers.append((body[at + _HEADER.size : middle].decode(), body[middle : middle + content_size]))
        at = middle + content_size
    return Message(topic, value, key, tuple(headers))
