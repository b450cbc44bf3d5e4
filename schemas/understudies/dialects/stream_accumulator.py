"""The common base of the accumulators of all APIs."""

from abc import ABC, abstractmethod
from typing import Any

from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import parse_json
from understudies.dialects.sse import EventSplitter, event_data


class PassthroughAccumulator(ABC):
    """Passes a stream through unchanged and reads its events."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        self._parse = parse or parse_json
        self.events = EventSplitter()
        self.finished = False
        self.failed: str | None = None
        self.characters = 0

    def feed(self, data: bytes) -> bytes:
        """Consume the next piece and return it unchanged."""
        for event in self.events.feed(data):
            self.read_event(event)
        return data

    def end(self) -> bytes:
        """Consume an unfinished event; returns nothing, as no bytes were held back."""
        self.read_event(self.events.flush())
        return b""

    def read_event(self, event: bytes) -> dict[str, Any] | None:
        """Consume one event and return its data if that is an object, else None."""
        try:
            chunk = self._parse(event_data(event))
        except ValueError:
            return None
        if not isinstance(chunk, dict):
            return None
        self.add_chunk(chunk)
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
