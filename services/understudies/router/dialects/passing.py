"""What every stream that passes through has in common."""

from abc import ABC, abstractmethod
from typing import Any

from understudies.router.dialects.base import Answered
from understudies.router.dialects.sse import Events, object_of, payload


class PassingAssembler(ABC):
    """Passes a stream on as it comes and reads its events."""

    def __init__(self) -> None:
        self.events = Events()
        self.finished = False
        self.failed: str | None = None
        self.chars = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, which goes to the caller as it is."""
        for event in self.events.feed(data):
            self.read(event)
        return data

    def end(self) -> bytes:
        """Take what came of an unfinished event; nothing of it was held back."""
        self.read(self.events.end())
        return b""

    def read(self, event: bytes) -> dict[str, Any] | None:
        """Take one event; its data where that is an object."""
        chunk = object_of(payload(event))
        if chunk is not None:
            self.take(chunk)
        return chunk

    @abstractmethod
    def take(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event."""

    @abstractmethod
    def body(self) -> dict[str, Any]:
        """The whole answer as far as known."""

    @abstractmethod
    def answer(self) -> Answered:
        """What was answered so far; raises ValueError where nothing was."""
