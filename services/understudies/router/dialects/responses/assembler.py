"""The events of OpenAI's streamed responses, put together on their way to the caller."""

from typing import Any, Final

from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.fields import index_or_zero, object_or_empty, text_or_empty
from understudies.router.dialects.passing import PassthroughAccumulator
from understudies.router.dialects.responses.answered import decode_response
from understudies.router.dialects.responses.item import OutputItemAccumulator

_RESPONSE_EVENTS: Final = frozenset(
    f"response.{stage}"
    for stage in ("created", "queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
)
_FINAL_EVENTS: Final = frozenset({"response.completed", "response.incomplete"})


class ResponseAccumulator(PassthroughAccumulator):
    """Puts a stream's events together; its last event has the whole response."""

    def __init__(self) -> None:
        super().__init__()
        self._response: dict[str, Any] = {}
        self._items: dict[int, OutputItemAccumulator] = {}

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event."""
        kind = text_or_empty(chunk.get("type"))
        if OutputItemAccumulator.is_delta(kind):
            self._grow(kind, chunk)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(kind, chunk)
        elif kind in _RESPONSE_EVENTS:
            self._stage(kind, object_or_empty(chunk.get("response")))
        elif kind == "error" or (not kind and chunk.get("error")):
            error = object_or_empty(chunk.get("error"))
            self._fail(text_or_empty(chunk.get("message")) or text_or_empty(error.get("message")))

    def body(self) -> dict[str, Any]:
        """The response as far as known."""
        if self._response.get("output"):
            return dict(self._response)
        return {**self._response, "output": [self._items[index].build() for index in sorted(self._items)]}

    def answer(self) -> DecodedResponse:
        """What was answered so far; raises ValueError where nothing was."""
        if not self._response and not self._items:
            raise ValueError("not an answered response: nothing came")
        return decode_response(self.body(), partial=True)

    def _grow(self, kind: str, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("delta"), str):
            self._at(chunk).add(kind, chunk)
            self.characters += len(chunk["delta"])

    def _item(self, kind: str, chunk: dict[str, Any]) -> None:
        item = object_or_empty(chunk.get("item"))
        if kind == "response.output_item.done":
            self._at(chunk).finish(item)
        else:
            self._items[index_or_zero(chunk.get("output_index"))] = OutputItemAccumulator(item)

    def _at(self, chunk: dict[str, Any]) -> OutputItemAccumulator:
        index = index_or_zero(chunk.get("output_index"))
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = OutputItemAccumulator({})
        return item

    def _stage(self, kind: str, response: Any) -> None:
        self._response = dict(response)
        self.finished = self.finished or kind in _FINAL_EVENTS
        if kind in ("response.failed", "response.cancelled"):
            self._fail(text_or_empty(object_or_empty(response.get("error")).get("message")))

    def _fail(self, message: str) -> None:
        self.failed = message or "the stream failed"
