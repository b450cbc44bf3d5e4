"""A whole response of OpenAI's as the events of its stream."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.router.dialects.fields import list_objects, text_or_empty
from understudies.router.dialects.sse import encode_event

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
    """The events of the stream that would have made the response."""
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
