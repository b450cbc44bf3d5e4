"""Assemble answers that a log kept as the events of a stream."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from understudies.dialects.base import Api
from understudies.dialects.detection import detect_stream_api
from understudies.dialects.json_fields import index_or_zero, list_objects, object_or_empty
from understudies.dialects.registry import dialect_of
from understudies.importers.answer_rule import GUARDRAIL
from understudies.importers.json_parsing import FailedCall, NotARecordedCall

_METRICS: Final = "amazon-bedrock-invocationMetrics"
_TEXTS: Final = ("generation", "outputText", "completion", "response")
"""Names under which the events of plain text models hold their piece."""
_ENDS: Final = ("stop_reason", "completionReason", "finish_reason", "done_reason")
_EVENT_FIELDS: Final = frozenset({"candidates", "usageMetadata", "chunk", "choices", "done", "outputs", *_TEXTS})
_BEGINNINGS: Final = ("data:", "event:", "id:", "retry:", ":")
"""With what the text of a stream of events begins; a colon begins a comment."""
_LINE_ENDS: Final = re.compile(r"\r\n|\n|\r")
_DONE: Final = "[DONE]"
_CONVERSE_EVENTS: Final = frozenset(
    {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
    | {"internalServerException", "modelStreamErrorException", "serviceUnavailableException", "throttlingException"}
    | {"validationException"}
)


def assemble_stream(value: object) -> object:
    """Return the whole reply of a stream's events, or of their text; any other value is returned unchanged.

    Raises NotARecordedCall for a stream that failed, has no end or is of no known form.
    """
    if isinstance(value, str):
        if not value.startswith(_BEGINNINGS):
            return _assemble_lines(value)
        events, is_done = _parse_events(value)
        if not events and not is_done:
            return value
        if (assembled := _assemble([*list_objects(events)], is_done=is_done)) is None:
            raise NotARecordedCall("no teacher answer: a stream of no known form")
        return assembled
    if isinstance(value, list) and value and isinstance(value[0], str) and value[0].startswith("data:"):
        return assemble_stream("\n".join(piece for piece in value if isinstance(piece, str)))
    if isinstance(value, list) and value and isinstance(value[0], dict) and _may_be_event(value[0]):
        return _assemble([*list_objects(value)]) or value
    return value  # as most lists are


def _assemble_lines(text: str) -> object:
    """Return the whole reply of a stream of JSON lines, as Ollama has it; any other text is returned unchanged."""
    if not text.startswith('{"model"') or "\n" not in text:
        return text
    try:
        events = [orjson.loads(line) for line in text.splitlines() if line]
    except orjson.JSONDecodeError:
        return text
    is_stream = len(events) > 1 and all(isinstance(event, dict) and "done" in event for event in events)
    return _assemble(events) or text if is_stream else text


def _assemble(events: list[dict[str, Any]], *, is_done: bool = False) -> dict[str, Any] | None:
    """Return the whole reply, or None if these are no events; `is_done` is true if a mark of the end was among them."""
    if not events:
        return None
    if _is_converse(events):
        return _assemble_converse(events)
    if all("candidates" in event or "usageMetadata" in event for event in events):
        return _assemble_gemini(events)
    chunks = [event["chunk"] for event in events if isinstance(event.get("chunk"), dict)]
    if chunks and len(chunks) == len(events):
        events = chunks
    api = _find_api(events) if _is_stream(events) else None
    if api is None:
        return _assemble_texts(events)
    accumulator = dialect_of(api).stream_accumulator()
    for event in events:
        accumulator.add_chunk(event)
    accumulator.end()
    if accumulator.failed is not None:
        raise FailedCall(f"the call failed: {accumulator.failed[:120]}")
    body = accumulator.body()
    if not (accumulator.finished or is_done or body.get("stop_reason") or _is_first_choice_ended(body)):
        raise _cut_short()
    return {**body, **_metrics(events)}


def _cut_short() -> NotARecordedCall:
    return NotARecordedCall("the log kept only a part of the answer: its stream has no end")


def _is_first_choice_ended(body: Mapping[str, Any]) -> bool:
    first = next(iter(list_objects(body.get("choices"))), {})
    return bool(first.get("finish_reason"))


def _assemble_texts(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Assemble the events of models with plain text on Bedrock, and of Ollama; None if these are none."""
    pieces = [_piece(event) for event in events]
    last = events[-1]
    is_stream = any(name in last for name in _ENDS) or {"done", "model"} <= last.keys()
    if not is_stream or not all(isinstance(piece, str) for piece in pieces):
        return None
    reply = {name: value for event in events for name, value in event.items() if name.endswith("_count") and value}
    reply |= {name: value for name, value in last.items() if name in ("model", "created_at", _METRICS)}
    end = next((last[name] for name in _ENDS if last.get(name)), None)
    if end is None and last.get("done") is not True:
        raise _cut_short()
    message = {"role": "assistant", "content": "".join(str(piece) for piece in pieces)}
    return {**reply, "message": message, "finish_reason": end}


def _piece(event: Mapping[str, Any]) -> object:
    """Return the text of an event, or None if it has none."""
    first_output = [*list_objects(event.get("outputs"))][:1]
    for inner in (event, *first_output, object_or_empty(event.get("message"))):
        for name in (*_TEXTS, *(("text", "content") if inner is not event else ())):
            if isinstance(inner.get(name), str):
                return inner[name]
    return None


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


def _parse_events(text: str) -> tuple[list[Any], bool]:
    """Return the data of the events, none if one is not JSON, and whether a mark of the end is among them."""
    events: list[Any] = []
    is_done = False
    for line in _LINE_ENDS.split(text):  # not at the other ends of lines that texts have
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == _DONE:
            is_done = True
            continue
        try:
            events.append(orjson.loads(data))
        except orjson.JSONDecodeError:
            return [], False
    return events, is_done


def _metrics(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in events:
        if _METRICS in event:
            found["metrics"] = event[_METRICS]
        if GUARDRAIL in event:
            found[GUARDRAIL] = event[GUARDRAIL]
    return found


def _is_converse(events: list[dict[str, Any]]) -> bool:
    names = _CONVERSE_EVENTS
    return any("contentBlockDelta" in event for event in events) and all(
        len(event) <= 2 and not names.isdisjoint(event) and event.keys() <= names | {_METRICS} for event in events
    )


def _assemble_converse(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Assemble the events of Bedrock's ConverseStream into the body of Converse."""
    blocks: dict[int, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    for event in events:
        name, told = next((name, told) for name, told in event.items() if name != _METRICS)
        if name.endswith("Exception"):
            raise FailedCall(f"the call failed: {name}")
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
    if "stopReason" not in reply:
        raise _cut_short()
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
    grounding: list[Any] = []
    for chunk in chunks:
        reply |= {name: value for name, value in chunk.items() if name != "candidates"}
        for candidate in [*list_objects(chunk.get("candidates"))][:1]:
            content = candidate.get("content")
            parts += list_objects(content.get("parts")) if isinstance(content, dict) else ()
            finish = candidate.get("finishReason") or candidate.get("finish_reason") or finish
            grounding.append(candidate.get("groundingMetadata") or candidate.get("grounding_metadata"))
    if parts and not finish:
        raise _cut_short()
    texts = "".join(part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))
    others = [part for part in parts if "text" not in part]
    content = {"role": "model", "parts": [*([{"text": texts}] if texts else []), *others]}
    told = next((one for one in reversed(grounding) if one), None)
    about = {"groundingMetadata": told} if told else {}
    return {**reply, "candidates": [{"content": content, "finishReason": finish, **about}]}
