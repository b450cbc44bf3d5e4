"""Accumulate streams of OpenAI's Responses on their way to the client, and encode whole responses as streams."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.dialects.base import DecodedResponse, JsonParser
from understudies.dialects.json_fields import index_or_zero, join_texts, list_objects, object_or_empty, text_or_empty
from understudies.dialects.openai_responses.response import decode_response
from understudies.dialects.sse import encode_event
from understudies.dialects.stream_accumulator import PassthroughAccumulator

_DELTA_KINDS: Final = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
_DONE_KINDS: Final = {
    "response.output_text.done": ("response.output_text.delta", "text"),
    "response.refusal.done": ("response.refusal.delta", "refusal"),
    "response.function_call_arguments.done": ("response.function_call_arguments.delta", "arguments"),
    "response.custom_tool_call_input.done": ("response.custom_tool_call_input.delta", "input"),
}
"""The kind of delta and the field of the whole text of each event that ends one."""
_TEXT_FIELDS: Final = {"output_text": "text", "refusal": "refusal"}
"""The field that holds the text of each kind of content part."""


class OutputItemAccumulator:
    """Assembles one output item of a stream."""

    def __init__(self, opening: Mapping[str, Any]) -> None:
        self._opening = opening
        self._given: dict[str, list[str]] = {}
        self._parts: dict[int, tuple[str, list[str]]] = {}
        self._done = False

    @staticmethod
    def is_delta(kind: str) -> bool:
        """Return whether an event of this kind adds to an item."""
        return kind in _DELTA_KINDS

    def add(self, kind: str, chunk: Mapping[str, Any]) -> None:
        """Add the next delta, which is text."""
        what, delta = _DELTA_KINDS[kind], chunk["delta"]
        if what not in _TEXT_FIELDS:
            self._given.setdefault(what, []).append(delta)
            return
        self._parts.setdefault(index_or_zero(chunk.get("content_index")), (what, []))[1].append(delta)

    def has_deltas(self, kind: str, chunk: Mapping[str, Any]) -> bool:
        """Return whether deltas of this kind have come for what an event is about."""
        what = _DELTA_KINDS[kind]
        return what in self._given or index_or_zero(chunk.get("content_index")) in self._parts

    def finish(self, item: Mapping[str, Any]) -> None:
        """Set the final form of the item."""
        self._opening = item
        self._done = True

    def build(self) -> dict[str, Any]:
        """Return the item so far."""
        if self._done:
            return dict(self._opening)
        item = {**self._opening, **{field: join_texts(pieces) for field, pieces in self._given.items()}}
        if self._parts:
            item["content"] = [*list_objects(item.get("content")), *map(self._part, sorted(self._parts))]
        return item

    def _part(self, index: int) -> dict[str, Any]:
        kind, pieces = self._parts[index]
        about: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
        return {"type": kind, _TEXT_FIELDS[kind]: join_texts(pieces), **about}


_RESPONSE_EVENTS: Final = frozenset(
    f"response.{stage}"
    for stage in ("created", "queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
)
_FINAL_EVENTS: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED_EVENTS: Final = frozenset({"response.failed", "response.cancelled"})
_FAILED_STATUSES: Final = ("failed", "cancelled")


class ResponseAccumulator(PassthroughAccumulator):
    """Assembles a response from the events of a stream, whose last event holds the whole response."""

    def __init__(self, parse: JsonParser | None = None) -> None:
        super().__init__(parse)
        self._response: dict[str, Any] = {}
        self._items: dict[tuple[int, str], OutputItemAccumulator] = {}

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """Add the parsed data of one event."""
        kind = text_or_empty(chunk.get("type"))
        if OutputItemAccumulator.is_delta(kind):
            self._grow(kind, chunk)
        elif kind in _DONE_KINDS:
            self._settle(kind, chunk)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(kind, chunk)
        elif kind in _RESPONSE_EVENTS:
            self._stage(kind, object_or_empty(chunk.get("response")))
        elif kind == "error" or (not kind and chunk.get("error")):
            error = chunk.get("error")
            said = text_or_empty(object_or_empty(error).get("message")) or text_or_empty(error)
            self._fail(text_or_empty(chunk.get("message")) or said)

    def body(self) -> dict[str, Any]:
        """Build the response so far."""
        if self._response.get("output"):
            return dict(self._response)
        items = [self._items[place].build() for place in sorted(self._items, key=lambda place: place[0])]
        if not any(item.get("type") == "message" for item in items):
            # Some servers do not announce their messages.
            items = [{"type": "message", **item} if "content" in item else item for item in items]
        return {**self._response, "output": items}

    def answer(self) -> DecodedResponse:
        """Decode the answer so far; raises ValueError if there is none."""
        if not self._response and not self._items:
            raise ValueError("not an answered response: nothing came")
        return decode_response(self.body(), partial=True)

    def _grow(self, kind: str, chunk: dict[str, Any]) -> None:
        if isinstance(chunk.get("delta"), str):
            self._at(chunk, chunk.get("item_id")).add(kind, chunk)
            self.characters += len(chunk["delta"])

    def _settle(self, kind: str, chunk: dict[str, Any]) -> None:
        """Take a text that ends, of which some servers send no deltas."""
        delta_kind, field = _DONE_KINDS[kind]
        said = chunk.get(field)
        item = self._at(chunk, chunk.get("item_id"))
        if isinstance(said, str) and said and not item.has_deltas(delta_kind, chunk):
            item.add(delta_kind, {**chunk, "delta": said})
            self.characters += len(said)

    def _item(self, kind: str, chunk: dict[str, Any]) -> None:
        item = object_or_empty(chunk.get("item"))
        if kind == "response.output_item.done":
            self._at(chunk, _id_of(item)).finish(item)
        else:
            # Some servers stream all their items at one index.
            place = (index_or_zero(chunk.get("output_index")), _id_of(item) or f"#{len(self._items)}")
            self._items[place] = OutputItemAccumulator(item)

    def _at(self, chunk: dict[str, Any], item_id: Any) -> OutputItemAccumulator:
        """Return the item at an index by its id; without an id that is known there, the latest one."""
        index = index_or_zero(chunk.get("output_index"))
        item = self._items.get((index, text_or_empty(item_id)))
        if item is None:
            item = next((self._items[place] for place in reversed(self._items) if place[0] == index), None)
        if item is None:
            item = self._items[index, text_or_empty(item_id)] = OutputItemAccumulator({})
        return item

    def _stage(self, kind: str, response: Any) -> None:
        self._response = dict(response)
        self.finished = self.finished or kind in _FINAL_EVENTS
        failed = kind in _FAILED_EVENTS or response.get("status") in _FAILED_STATUSES
        if failed or (kind in _FINAL_EVENTS and response.get("error")):
            error = response.get("error")
            self._fail(text_or_empty(object_or_empty(error).get("message")) or text_or_empty(error))

    def _fail(self, message: str) -> None:
        self.failed = message or "the stream failed"


def _id_of(item: Mapping[str, Any]) -> str:
    return text_or_empty(item.get("id")) or text_or_empty(item.get("call_id"))


_CALL_EVENTS: Final = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}
_PART_EVENTS: Final = {"output_text": ("response.output_text", "text"), "refusal": ("response.refusal", "refusal")}
_INITIAL_FIELDS: Final[Mapping[str, Any]] = {
    "status": "in_progress",
    "output": [],
    "usage": None,
    "completed_at": None,
    "incomplete_details": None,
    "error": None,
}
_Event = tuple[str, dict[str, Any]]


def encode_stream(body: Mapping[str, Any]) -> Iterator[bytes]:
    """Encode a whole response as the events of the stream that would have produced it."""
    for number, (kind, data) in enumerate(_stream_events(body)):
        yield encode_event({"type": kind, "sequence_number": number, **data}, kind)


def _stream_events(body: Mapping[str, Any]) -> Iterator[_Event]:
    begun = {**body, **{name: value for name, value in _INITIAL_FIELDS.items() if name in body or name == "output"}}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(list_objects(body.get("output"))):
        yield from _item_events(index, item)
    status = text_or_empty(body.get("status"))
    end = status if status in ("incomplete", "failed") else "completed"
    yield f"response.{end}", {"response": body}


def _item_events(index: int, item: dict[str, Any]) -> Iterator[_Event]:
    place = {"item_id": item.get("id") or item.get("call_id") or "", "output_index": index}
    kind = text_or_empty(item.get("type"))
    opening = {**item, "status": "in_progress"} if "status" in item else item
    if kind == "message":
        yield "response.output_item.added", {"output_index": index, "item": {**opening, "content": []}}
        for at, part in enumerate(list_objects(item.get("content"))):
            yield from _content_events({**place, "content_index": at}, part)
    elif kind == "reasoning":
        yield "response.output_item.added", {"output_index": index, "item": {**opening, "summary": []}}
        for at, part in enumerate(list_objects(item.get("summary"))):
            yield from _summary_events({**place, "summary_index": at}, part)
    elif kind in _CALL_EVENTS:
        name, field = _CALL_EVENTS[kind]
        given = text_or_empty(item.get(field))
        yield "response.output_item.added", {"output_index": index, "item": {**opening, field: ""}}
        yield f"{name}.delta", {**place, "delta": given}
        yield f"{name}.done", {**place, field: given}
    else:
        yield "response.output_item.added", {"output_index": index, "item": opening}
    yield "response.output_item.done", {"output_index": index, "item": item}


def _content_events(place: dict[str, Any], part: dict[str, Any]) -> Iterator[_Event]:
    name, field = _PART_EVENTS.get(text_or_empty(part.get("type")), ("", ""))
    if not name:
        yield "response.content_part.added", {**place, "part": part}
    else:
        said = text_or_empty(part.get(field))
        with_logprobs: dict[str, Any] = {"logprobs": []} if field == "text" else {}
        yield "response.content_part.added", {**place, "part": {**part, field: ""}}
        yield f"{name}.delta", {**place, "delta": said, **with_logprobs}
        yield f"{name}.done", {**place, field: said, **with_logprobs}
    yield "response.content_part.done", {**place, "part": part}


def _summary_events(place: dict[str, Any], part: dict[str, Any]) -> Iterator[_Event]:
    said = text_or_empty(part.get("text"))
    yield "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
    yield "response.reasoning_summary_text.delta", {**place, "delta": said}
    yield "response.reasoning_summary_text.done", {**place, "text": said}
    yield "response.reasoning_summary_part.done", {**place, "part": part}
