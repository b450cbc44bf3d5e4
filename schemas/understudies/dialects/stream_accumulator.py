"""The common base of the accumulators of all APIs."""

from abc import ABC, abstractmethod
from typing import Any, Final

from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import parse_json
from understudies.dialects.sse import EventSplitter, begins_object, event_data, parse_event_object

DAMAGED_EVENT: Final = "an event of the stream is not JSON"


class PassthroughAccumulator(ABC):
    """Passes a stream through unchanged and reads its events."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        self._parse = parse or parse_json
        self.events = EventSplitter()
        self.finished = False
        self.failed: str | None = None
        self.damage: str | None = None
        self.characters = 0

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece and return it unchanged."""
        for event in self.events.feed(data):
            self.read_event(event)
        return data

    def end(self) -> bytes:
        """Consume an unfinished event; returns nothing, as no bytes were held back."""
        self.read_event(self.events.flush(), is_whole=False)
        return b""

    def read_event(self, event: bytes, *, is_whole: bool = True) -> dict[str, Any] | None:
        """Consume one event and return its data if that is an object, else None.

        A whole event that is damaged is noted, as its part of the answer is missing.
        """
        data = event_data(event)
        chunk = parse_event_object(data, self._parse)
        if chunk is not None:
            self.add_chunk(chunk)
        elif is_whole and begins_object(data):
            self.damage = DAMAGED_EVENT
        return chunk

    @abstractmethod
    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add the parsed data of one event."""

    @abstractmethod
    def body(self) -> dict[str, Any]:
        """Build the body of the answer so far."""

    @abstractmethod
    def answer(self) -> DecodedResponse:
        """Decode the answer so far; raises ValueError if there is none."""
