"""The events of OpenAI's streamed responses, put together on their way to the caller."""

from typing import Any, Final

from understudies.router.dialects.base import Answered
from understudies.router.dialects.fields import mapping_of, place_of, text_of
from understudies.router.dialects.passing import PassingAssembler
from understudies.router.dialects.responses.answered import answered
from understudies.router.dialects.responses.item import Item

_STAGES: Final = frozenset(
    f"response.{stage}"
    for stage in ("created", "queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
)
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})


class ResponsesAssembler(PassingAssembler):
    """Puts a stream's events together; its last event has the whole response."""

    def __init__(self) -> None:
        super().__init__()
        self._response: dict[str, Any] = {}
        self._items: dict[int, Item] = {}

    def take(self, chunk: dict[str, Any]) -> None:
        """Take the data of one event."""
        kind = text_of(chunk.get("type"))
        if Item.grows(kind):
            self._grow(kind, chunk)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(kind, chunk)
        elif kind in _STAGES:
            self._stage(kind, mapping_of(chunk.get("response")))
        elif kind == "error" or (not kind and chunk.get("error")):
            error = mapping_of(chunk.get("error"))
            self._fail(text_of(chunk.get("message")) or text_of(error.get("message")))

    def body(self) -> dict[str, Any]:
        """The response as far as known."""
        if self._response.get("output"):
            return dict(self._response)
        return {**self._response, "output": [self._items[index].whole() for index in sorted(self._items)]}

    def answer(self) -> Answered:
        """What was answered so far; raises ValueError where nothing was."""
        if not self._response and not self._items:
            raise ValueError("not an answered response: nothing came")
        return answered(self.body(), partly=True)

    def _grow(self, kind: str, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("delta"), str):
            self._at(chunk).add(kind, chunk)
            self.chars += len(chunk["delta"])

    def _item(self, kind: str, chunk: dict[str, Any]) -> None:
        item = mapping_of(chunk.get("item"))
        if kind == "response.output_item.done":
            self._at(chunk).done(item)
        else:
            self._items[place_of(chunk.get("output_index"))] = Item(item)

    def _at(self, chunk: dict[str, Any]) -> Item:
        index = place_of(chunk.get("output_index"))
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = Item({})
        return item

    def _stage(self, kind: str, response: Any) -> None:
        self._response = dict(response)
        self.finished = self.finished or kind in _ENDS
        if kind in ("response.failed", "response.cancelled"):
            self._fail(text_of(mapping_of(response.get("error")).get("message")))

    def _fail(self, message: str) -> None:
        self.failed = message or "the stream failed"
