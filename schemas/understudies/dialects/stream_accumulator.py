"""What every stream that passes through has in common."""

from abc import ABC, abstractmethod
from typing import Any

from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import parse_json
from understudies.dialects.sse import EventSplitter, event_data


class PassthroughAccumulator(ABC):
    """Passes a stream on as it comes and reads its events."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        self._parse = parse or parse_json
        self.events = EventSplitter()
        self.finished = False
        self.failed: str | None = None
        self.characters = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, which goes to the caller as it is."""
        for event in self.events.feed(data):
            self.read_event(event)
        return data

    def end(self) -> bytes:
        """Take what came of an unfinished event; nothing of it was held back."""
        self.read_event(self.events.flush())
        return b""

    def read_event(self, event: bytes) -> dict[str, Any] | None:
        """Take one event; its data where that is an object."""
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
        """Take the data of one event."""

    @abstractmethod
    def body(self) -> dict[str, Any]:
        """The whole answer as far as known."""

    @abstractmethod
    def answer(self) -> DecodedResponse:
        """What was answered so far; raises ValueError where nothing was."""
