"""Messages as bytes of a file: each behind its length and checksum, so that a torn or spoilt one is told."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from understudies.runtime import BusMessage

_FRAME_HEAD: Final = struct.Struct(">II")  # length and CRC-32 of the body
_FRAME_BODY: Final = struct.Struct(">HHiI")  # length of topic, number of headers, length of key (-1: none) and of value
_MESSAGE_HEADER: Final = struct.Struct(">HI")  # length of name and value


class Frame(NamedTuple):
    """A message read back, None where it is spoilt, and where it ends."""

    message: BusMessage | None
    end: int


def encode_frame(message: BusMessage) -> bytes:
    """The bytes of a message."""
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
    """The frames that begin the data, up to one that is not whole; a spoilt one is passed over by its length."""
    at = 0
    while (end := _frame_end(data, at)) is not None:
        body = data[at + _FRAME_HEAD.size : end]
        yield Frame(_decode_message(body) if zlib.crc32(body) == _FRAME_HEAD.unpack_from(data, at)[1] else None, end)
        at = end


def frame_size(data: bytes) -> int:
    """How long the frame is that begins the data; 0 where none does."""
    if len(data) < _FRAME_HEAD.size:
        return 0
    length: int = _FRAME_HEAD.unpack_from(data)[0]
    return _FRAME_HEAD.size + length if length >= _FRAME_BODY.size else 0


def _frame_end(data: bytes, at: int) -> int | None:
    """Where the frame at a place ends; None where there is no whole one."""
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
        middle = at + _MESSAGE_HEADER.size + name_size
        headers.append((body[at + _MESSAGE_HEADER.size : middle].decode(), body[middle : middle + content_size]))
        at = middle + content_size
    return BusMessage(topic, value, key, tuple(headers))
