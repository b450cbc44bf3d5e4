"""Split streams into server-sent events, encode events, and hold back half of one until it is whole."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.base import JsonParser
from understudies.dialects.json_fields import encode_json, parse_json

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


def parse_event_object(data: bytes, parse: JsonParser = parse_json) -> dict[str, Any] | None:
    """The JSON object that an event's data is; None where it is none."""
    try:
        value = parse(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def encode_event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event with JSON as its data; raises InvalidRequest for what cannot be written."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode_json(data) + b"\n\n"


_BLANK_LINE: Final = b"\n\n"
_BLANK_LINE_CRLF: Final = b"\n\r\n"
_MAX_HELD_BYTES: Final = 16_384
"""Bytes of an unfinished event from which on it is passed as it comes."""


class EventBoundaryBuffer:
    """Holds back what has come of an event until the rest is there; all bytes pass, in their order."""

    __slots__ = ("_held", "_inside")

    def __init__(self) -> None:
        self._held = b""
        self._inside = False

    def feed(self, data: bytes) -> bytes:
        """What may be passed of all that has come."""
        if data.endswith(_BLANK_LINE):
            return self._pass_all(data, inside=False)
        end = max(_end_of_last(data, _BLANK_LINE), _end_of_last(data, _BLANK_LINE_CRLF))
        if end == 0 and self._held:
            # The end may lie across two pieces.
            data, self._held = self._held + data, b""
            end = max(_end_of_last(data, _BLANK_LINE), _end_of_last(data, _BLANK_LINE_CRLF))
        if end == len(data):
            return self._pass_all(data, inside=False)
        if (self._inside and end == 0) or len(data) - end > _MAX_HELD_BYTES:
            return self._pass_all(data, inside=True)
        shown, self._held = self._held + data[:end], data[end:]
        self._inside = False
        return shown

    def flush(self) -> bytes:
        """What is held back, as the stream has come to its end."""
        held, self._held = self._held, b""
        return held

    def abort(self) -> bytes:
        """What ends an event of which a part was passed; what is held back is dropped, as the rest will not come."""
        self._held = b""
        return _BLANK_LINE if self._inside else b""

    def _pass_all(self, data: bytes, *, inside: bool) -> bytes:
        shown = self._held + data if self._held else data
        self._held, self._inside = b"", inside
        return shown


def _end_of_last(data: bytes, end: bytes) -> int:
    found = data.rfind(end)
    return 0 if found < 0 else found + len(end)
