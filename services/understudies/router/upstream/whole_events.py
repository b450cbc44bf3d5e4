"""Whole events of a stream: a caller who has half of one cannot be told any more that the stream broke off."""

from typing import Final

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
