"""Server-sent events as they travel: cut from a stream, and written."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from understudies.router.dialects.fields import encode_json

_EVENT_END = re.compile(rb"\n\r?\n")


class EventSplitter:
    """Cuts a stream into whole events; `rest` is what came of the next one."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole now, with the blank line that ends each: joined they are the stream."""
        if not self.rest and data.find(b"\n\n") == len(data) - 2 >= 0 and b"\r" not in data:
            return [data]
        self.rest += data
        return self._whole()

    def flush(self) -> bytes:
        """What came of the event that was never ended."""
        left = bytes(self.rest)
        self.rest.clear()
        self._searched = 0
        return left

    def _whole(self) -> list[bytes]:
        ends = [match.end() for match in _EVENT_END.finditer(self.rest, max(0, self._searched - 2))]
        whole = [bytes(self.rest[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        if ends:
            del self.rest[: ends[-1]]
        self._searched = len(self.rest)
        return whole


def event_data(event: bytes) -> bytes:
    """The data of an event."""
    if event.startswith(b"data:") and event.find(b"\n") >= len(event) - 2:
        return event[5:].strip()
    return b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))


def parse_event_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that an event's data is; None where it is none."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def encode_event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event with JSON as its data; raises Unreadable for what cannot be written."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode_json(data) + b"\n\n"
