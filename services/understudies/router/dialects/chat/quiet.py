"""A chat's stream without the usage that the caller did not ask for."""

import re
from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.chat.assembler import ChatAccumulator
from understudies.router.dialects.sse import event_data, parse_event_object

_CHOICE: Final = re.compile(rb'"choices"\s*:\s*\[\s*\{')
_MAX_USAGE_CHUNK: Final = 16_384
"""Bytes of an unfinished event from which on it is no chunk with nothing but usage."""


class UsageHidingAccumulator(ChatAccumulator):
    """Leaves out the chunk with nothing but usage, for which the router asked; the rest passes byte for byte."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; an unfinished event is held back while it may be the one to leave out."""
        out = [self._visible(event, self.read_event(event)) for event in self.events.feed(data)]
        rest = self.events.rest
        if rest and (self._passed or len(rest) > _MAX_USAGE_CHUNK or _CHOICE.search(rest)):
            out.append(bytes(rest[self._passed :]))
            self._passed = len(rest)
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        """Take what came of an unfinished event, and give what was held back of it."""
        left = bytes(self.events.rest)
        super().end()
        return self._visible(left, parse_event_object(event_data(left)))

    def _visible(self, event: bytes, chunk: Mapping[str, Any] | None) -> bytes:
        passed, self._passed = self._passed, 0
        return event[passed:] if passed or chunk is None or not _is_usage_only(chunk) else b""


def _is_usage_only(chunk: Mapping[str, Any]) -> bool:
    """Some providers leave the choices empty, others leave them out."""
    return not chunk.get("choices") and isinstance(chunk.get("usage"), dict) and not chunk.get("error")
