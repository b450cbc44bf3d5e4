"""Chat completion chunks, put together on their way to the caller."""

from typing import Any

from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.chat.answered import decode_response
from understudies.router.dialects.chat.choice import ChoiceAccumulator
from understudies.router.dialects.fields import index_or_zero, object_or_empty, text_or_empty
from understudies.router.dialects.passing import PassthroughAccumulator
from understudies.router.dialects.sse import event_data

_NOT_THE_HEAD = frozenset({"choices", "usage", "object", "obfuscation", "error"})


class ChatAccumulator(PassthroughAccumulator):
    """Puts a stream's chunks together."""

    def __init__(self) -> None:
        super().__init__()
        self._head: dict[str, Any] = {}
        self._choices: dict[int, ChoiceAccumulator] = {}
        self._usage: dict[str, Any] | None = None

    def end(self) -> bytes:
        """A stream in which every choice has come to its end is finished, whether it says so or not."""
        held = super().end()
        ended = bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())
        self.finished = self.finished or (ended and self.failed is None)
        return held

    def read_event(self, event: bytes) -> dict[str, Any] | None:
        """Take one event; its data where that is a chunk."""
        chunk = super().read_event(event)
        if chunk is None and event_data(event) == b"[DONE]":
            self.finished = True
        return chunk

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Take one chunk."""
        if not self._head.get("model"):
            self._head |= {key: value for key, value in chunk.items() if key not in _NOT_THE_HEAD}
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                self._add(choice)
        if chunk.get("error"):
            error = chunk["error"]
            self.failed = (
                text_or_empty(object_or_empty(error).get("message")) or text_or_empty(error) or "the stream failed"
            )

    def body(self) -> dict[str, Any]:
        """The chat completion as far as known."""
        choices = [self._choices[index].build(index) for index in sorted(self._choices)]
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, "object": "chat.completion", "choices": choices, **usage}

    def answer(self) -> DecodedResponse:
        """What was answered so far; raises ValueError where nothing was."""
        return decode_response(self.body())

    def _add(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            return
        index = index_or_zero(choice.get("index"))
        found = self._choices.get(index)
        if found is None:
            found = self._choices[index] = ChoiceAccumulator()
        self.characters += found.add(choice)
