"""Split streams into server-sent events, encode events, and hold back partial events until they are complete."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.base import JsonParser
from understudies.dialects.json_fields import encode_json, parse_json, parse_lenient_json

_EVENT_END: Final = re.compile(rb"\n(?:\n|\r\n?)|\r\r\n?")
"""A blank line, after a line that any of the three line endings of event streams ends."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventSplitter:
    """Splits a stream into complete events; `rest` holds the bytes of an incomplete one."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that are now complete, each with its final blank line: joined, they are the stream."""
        if not self.rest and data.find(b"\n\n") == len(data) - 2 >= 0 and b"\r" not in data:
            return [data]
        self.rest += data
        return self._whole()

    def flush(self) -> bytes:
        """Return and clear the bytes of the incomplete event."""
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


def holds_event_end(data: bytes) -> bool:
    """Return whether an event ends within the data."""
    return _EVENT_END.search(data) is not None


def event_data(event: bytes) -> bytes:
    """Return the data of an event."""
    if event.startswith(b"data:") and event.find(b"\n") >= len(event) - 2:
        return event[5:].strip()
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))


def event_name(event: bytes) -> bytes:
    """Return the name of an event, empty for one without."""
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    return next((line[6:].strip() for line in reversed(lines) if line.startswith(b"event:")), b"")


def parse_event_object(data: bytes, parse: JsonParser = parse_json) -> dict[str, Any] | None:
    """Parse an event's data as a JSON object; returns None if it is not one.

    What `parse` does not take is parsed as clients do, which take NaN and halves of surrogate pairs.
    """
    try:
        value = parse(data)
    except ValueError:
        if not begins_object(data):
            return None
        try:
            value = parse_lenient_json(data)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def begins_object(data: bytes) -> bool:
    """Return whether an event's data is meant to be a JSON object."""
    return data[:1] == b"{"


def encode_event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """Encode one event with JSON as its data; raises InvalidRequest for data that cannot be encoded."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode_json(data) + b"\n\n"


_BLANK_LINE: Final = b"\n\n"
_OTHER_BLANK_LINES: Final = (b"\n\r\n", b"\r\r", b"\r\r\n")
_MAX_HELD_BYTES: Final = 16_384
"""The most bytes of an incomplete event to hold back; a larger one is passed on as it arrives."""


class EventBoundaryBuffer:
    """Holds back an incomplete event until the rest arrives; all bytes pass in order."""

    __slots__ = ("_held", "_inside")

    def __init__(self) -> None:
        self._held = b""
        self._inside = False

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece and return all bytes that may now be passed on."""
        if data.endswith(_BLANK_LINE):
            return self._pass_all(data, inside=False)
        end = _end_of_last_event(data)
        if end == 0 and self._held:
            # The end of the event may span two pieces.
            data, self._held = self._held + data, b""
            end = _end_of_last_event(data)
        if end == len(data):
            return self._pass_all(data, inside=False)
        if (self._inside and end == 0) or len(data) - end > _MAX_HELD_BYTES:
            return self._pass_all(data, inside=True)
        shown, self._held = self._held + data[:end], data[end:]
        self._inside = False
        return shown

    def flush(self) -> bytes:
        """Return the bytes held back; call this when the stream has ended."""
        held, self._held = self._held, b""
        return held

    def abort(self) -> bytes:
        """Drop the bytes held back, as their rest will not arrive; returns the bytes that end a partly passed event."""
        self._held = b""
        return _BLANK_LINE if self._inside else b""

    def _pass_all(self, data: bytes, *, inside: bool) -> bytes:
        shown = self._held + data if self._held else data
        self._held, self._inside = b"", inside
        return shown


def _end_of_last_event(data: bytes) -> int:
    end = _end_of_last(data, _BLANK_LINE)
    return end if b"\r" not in data else max(end, *(_end_of_last(data, line) for line in _OTHER_BLANK_LINES))


def _end_of_last(data: bytes, end: bytes) -> int:
    found = data.rfind(end)
    return 0 if found < 0 else found + len(end)
