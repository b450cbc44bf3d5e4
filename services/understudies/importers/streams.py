"""Assemble answers that a log kept as the events of a stream."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from understudies.dialects.base import Api
from understudies.dialects.detection import detect_stream_api
from understudies.dialects.json_fields import index_or_zero, list_objects, object_or_empty
from understudies.dialects.registry import dialect_of
from understudies.importers.json_parsing import NotARecordedCall

_EVENT_FIELDS: Final = frozenset({"candidates", "usageMetadata", "chunk", "choices"})


def assemble_stream(value: object) -> object:
    """Return the whole reply of a stream's events, or of their text; any other value is returned unchanged."""
    if isinstance(value, str):
        events = _parse_events(value) if value.startswith(("data:", "event:")) else []
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        if not _may_be_event(value[0]):
            return value  # as most lists are
        events = value
    else:
        return value
    objects = [*list_objects(events)]
    if not objects:
        return value
    if _is_converse(objects):
        return _assemble_converse(objects)
    if len(objects) > 1 and all("candidates" in event or "usageMetadata" in event for event in objects):
        return _assemble_gemini(objects)
    if (chunks := [event["chunk"] for event in objects if isinstance(event.get("chunk"), dict)]) and len(chunks) == len(
        objects
    ):
        objects = chunks
    if not _is_stream(objects):
        return value
    api = _find_api(objects)
    if api is None:
        return value
    accumulator = dialect_of(api).stream_accumulator()
    for event in objects:
        accumulator.add_chunk(event)
    if accumulator.failed is not None:
        raise NotARecordedCall(f"the call failed: {accumulator.failed[:120]}")
    return {**accumulator.body(), **_metrics(objects)}


def _may_be_event(first: Mapping[str, Any]) -> bool:
    """Return whether a list may hold the events of a stream, by what its first object has to have then."""
    # An event of Converse has a single field.
    return len(first) == 1 or not first.keys().isdisjoint(_EVENT_FIELDS) or detect_stream_api(first) is not None


def _find_api(events: list[dict[str, Any]]) -> Api | None:
    for event in events:
        api = detect_stream_api(event)
        if api is not None:
            return api
    return None


def _is_stream(events: list[dict[str, Any]]) -> bool:
    first = events[0]
    choices = [*list_objects(first.get("choices"))]
    if isinstance(first.get("choices"), list):
        return first.get("object") == "chat.completion.chunk" or any("delta" in choice for choice in choices)
    return detect_stream_api(first) is not None


def _parse_events(text: str) -> list[Any]:
    events: list[Any] = []
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data and data != "[DONE]":
            try:
                events.append(orjson.loads(data))
            except orjson.JSONDecodeError:
                return []
    return events


def _metrics(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found = [
        event["amazon-bedrock-invocationMetrics"] for event in events if "amazon-bedrock-invocationMetrics" in event
    ]
    return {"metrics": found[-1]} if found else {}


def _is_converse(events: list[dict[str, Any]]) -> bool:
    names = {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
    return any("contentBlockDelta" in event for event in events) and all(
        len(event) == 1 and event.keys() <= names for event in events
    )


def _assemble_converse(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Assemble the events of Bedrock's ConverseStream into the body of Converse."""
    blocks: dict[int, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    for event in events:
        (name, told), *_ = event.items()
        if not isinstance(told, dict):
            continue
        index = index_or_zero(told.get("contentBlockIndex"))
        if name == "contentBlockStart":
            use = object_or_empty(object_or_empty(told.get("start")).get("toolUse"))
            blocks[index] = {"toolUse": {**use, "input": ""}} if use else {}
        elif name == "contentBlockDelta" and isinstance(told.get("delta"), dict):
            _add_delta(blocks.setdefault(index, {}), told["delta"])
        elif name == "messageStop":
            reply["stopReason"] = told.get("stopReason")
        elif name == "metadata":
            reply |= {key: told[key] for key in ("usage", "metrics") if key in told}
    return {"output": {"message": {"role": "assistant", "content": [blocks[key] for key in sorted(blocks)]}}, **reply}


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if isinstance(delta.get("text"), str):
        block["text"] = block.get("text", "") + delta["text"]
    use = delta.get("toolUse")
    if isinstance(use, dict) and isinstance(use.get("input"), str):
        call = block.setdefault("toolUse", {"input": ""})
        call["input"] = call.get("input", "") + use["input"]


def _assemble_gemini(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Assemble the chunks of Gemini's streams, each of which has some parts of the content."""
    reply: dict[str, Any] = {}
    parts: list[Any] = []
    finish: object = None
    for chunk in chunks:
        reply |= {name: value for name, value in chunk.items() if name != "candidates"}
        for candidate in [*list_objects(chunk.get("candidates"))][:1]:
            content = candidate.get("content")
            parts += list_objects(content.get("parts")) if isinstance(content, dict) else ()
            finish = candidate.get("finishReason", finish)
    texts = "".join(part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))
    others = [part for part in parts if "text" not in part]
    content = {"role": "model", "parts": [*([{"text": texts}] if texts else []), *others]}
    return {**reply, "candidates": [{"content": content, "finishReason": finish}]}
