"""Convert the parts of a message, in the forms of many providers and libraries, to those of chat completions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from understudies.dialects.json_fields import arguments_text, encode_json_text, list_objects, text_or_empty
from understudies.events import MEDIA_PARTS
from understudies.importers.json_parsing import parse_embedded_json

_KEPT_TYPES: Final = frozenset(
    {"text", "image_url", "input_audio", "file", "refusal", "input_text", "output_text", "input_image", "input_file"}
    | {"image", "document", "tool_use", "tool_result", "server_tool_use", "web_search_tool_result", "search_result"}
    | {"mcp_tool_use", "mcp_tool_result", "container_upload"}
)
"""Types of parts that the dialects of providers know."""
_DROPPED_TYPES: Final = frozenset(
    {
        "reasoning",
        "thinking",
        "redacted_thinking",
        "step-start",
        "step_start",
        "step-finish",
        "cachePoint",
        "cache_point",
    }
    | {"source-url", "source-document", "reasoning_content"}
)
_CALL_TYPES: Final = frozenset(
    {"tool-call", "tool_call", "function_call", "functionCall", "toolCall", "tool-invocation", "function"}
)
_RESULT_TYPES: Final = frozenset(
    {"tool-result", "tool_call_response", "tool-return", "tool_response", "functionResponse", "function_response"}
    | {"tool_call_output", "retry-prompt"}
)
_TEXT_KINDS: Final = frozenset({"user-prompt", "system-prompt", "instruction", "instructions"})
_MEDIA_TYPES: Final = frozenset(MEDIA_PARTS) | {"blob", "uri", "media", "inline_data"}
_MEDIA_KEYS: Final = frozenset({"inlineData", "inline_data", "fileData", "file_data"})
_BARE_MEDIA: Final = frozenset({"image", "audio", "video", "document"})
"""What names a part of Bedrock's Converse, which has no type."""
_NAMES: Final = ("name", "toolName", "tool_name", "functionName")
_IDS: Final = ("call_id", "callId", "id", "toolCallId", "tool_call_id", "toolUseId", "tool_use_id")
"""Names of a call's id; an item of OpenAI's Responses has one of its own beside it."""
_ARGUMENTS: Final = ("arguments", "args", "input", "parameters")
_RESULTS: Final = ("result", "response", "output", "content", "value")
_CALL_KEYS: Final = ("functionCall", "function_call", "toolUse", "toolCall")
_RESULT_KEYS: Final = ("functionResponse", "function_response", "toolResult")


@dataclass(slots=True)
class SplitParts:
    """The parts of a message: content that stays in it, calls of tools, and results that become messages."""

    content: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)


def split_parts(parts: list[Any]) -> SplitParts:
    """Split the parts of a message by what they are; parts of unknown types stay in the content."""
    split = SplitParts()
    for part in parts:
        if isinstance(part, dict):
            _add_part(split, part)
        elif isinstance(part, str):
            split.content.append({"type": "text", "text": part})
    return split


def split_steps(message: Mapping[str, Any]) -> list[list[Any]]:
    """Split the parts of a turn after each part that tells a tool's result; one step if there is none."""
    content = next((message[name] for name in ("parts", "content") if message.get(name) is not None), None)
    invocations = message.get("toolInvocations")
    if isinstance(content, str) and invocations is None:
        return [[content]]
    parts = content if isinstance(content, list) else [] if content is None else [content]
    if isinstance(invocations, list) and not isinstance(content, list):
        parts = [*({"type": "tool-invocation", "toolInvocation": one} for one in invocations), *parts]
    if not any(is_foreign(part) for part in parts):
        return [parts]
    steps: list[list[Any]] = [[]]
    for part in parts:
        steps[-1].append(part)
        if split_parts([part]).results:
            steps.append([])
    return [step for step in steps if step not in ([], [""])]


def is_foreign(part: object) -> bool:
    """Return whether a part has another form than those of OpenAI and Anthropic."""
    if not isinstance(part, dict):
        return False
    kind = text_or_empty(part.get("type"))
    return kind not in _KEPT_TYPES or (kind == "text" and "text" not in part)


def is_media(part: object) -> bool:
    """Return whether a part is audio, an image, a video or a file, in the form of any provider or library."""
    if not isinstance(part, dict):
        return False
    kind = text_or_empty(part.get("type"))
    return kind in _MEDIA_TYPES or is_gemini_media(part) or (not kind and not _BARE_MEDIA.isdisjoint(part))


def is_gemini_media(part: object) -> bool:
    """Return whether a part is audio, an image, a video or a file in the form of Gemini."""
    return isinstance(part, dict) and not _MEDIA_KEYS.isdisjoint(part)


def write_call(call: Mapping[str, Any]) -> dict[str, Any] | None:
    """Write a tool's call in a chat's form; returns None if it names no tool."""
    if isinstance(call.get("custom"), dict):
        return dict(call)
    inner = next(
        (call[name] for name in ("function", "toolUse", "functionCall") if isinstance(call.get(name), dict)), call
    )
    name = _first(inner, _NAMES)
    if not isinstance(name, str) or not name:
        return None
    call_id = _first(call, _IDS) or _first(inner, _IDS)
    return {
        "id": call_id if isinstance(call_id, str) else "",
        "type": "function",
        "function": {"name": name, "arguments": arguments_text(_first(inner, _ARGUMENTS))},
    }


def to_text(value: object) -> str:
    """Write a value as the text of a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str):
        return str(value["text"])
    return encode_json_text(value)


def _add_part(split: SplitParts, part: dict[str, Any]) -> None:
    kind = text_or_empty(part.get("type", part.get("part_kind", part.get("kind"))))
    nested = _first_object(part, _CALL_KEYS)
    if nested is not None:
        _add_call(split, nested)
    elif (result := _first_object(part, _RESULT_KEYS)) is not None:
        split.results.append(_write_result(result))
    elif kind in _DROPPED_TYPES or part.get("thought") is True or "reasoningContent" in part or "cachePoint" in part:
        return
    elif kind and (handler := _handler(kind)) is not None:
        handler(split, part)
    elif kind in ("", "text") or kind in _TEXT_KINDS:
        _add_text(split, part)
    else:
        split.content.append(part)


def _handler(kind: str) -> Callable[[SplitParts, dict[str, Any]], None] | None:
    if kind in _CALL_TYPES:
        return _add_invocation
    if kind in _RESULT_TYPES:
        return _add_result
    # A tool's part in the AI SDK's messages of the interface is named after it.
    return _add_interface_tool if kind.startswith("tool-") or kind == "dynamic-tool" else None


def _add_text(split: SplitParts, part: dict[str, Any]) -> None:
    text = _first(part, ("text", "content", "value"))
    if isinstance(text, str):
        split.content.append({"type": "text", "text": text})
    elif isinstance(text, list):
        inner = split_parts(text)
        split.content += inner.content
    elif (json_value := part.get("json")) is not None:
        split.content.append({"type": "text", "text": to_text(json_value)})
    elif part:
        name = next(iter(part))
        split.content.append({"type": name if name != "type" else "unknown", **part})


def _add_call(split: SplitParts, call: Mapping[str, Any]) -> None:
    if (written := write_call(call)) is not None:
        split.calls.append(written)


def _add_invocation(split: SplitParts, part: dict[str, Any]) -> None:
    inner = part.get("toolInvocation")
    call = inner if isinstance(inner, dict) else part
    _add_call(split, call)
    if inner is call and "result" in call:
        split.results.append(_write_result(call))


def _add_result(split: SplitParts, part: dict[str, Any]) -> None:
    split.results.append(_write_result(part))


def _add_interface_tool(split: SplitParts, part: dict[str, Any]) -> None:
    name = _first(part, _NAMES) or str(part.get("type")).removeprefix("tool-")
    _add_call(split, {**part, "name": name})
    if part.get("output") is not None:
        split.results.append(_write_result({"toolCallId": part.get("toolCallId"), "output": part["output"]}))


def _write_result(result: Mapping[str, Any]) -> dict[str, Any]:
    call_id = _first(result, _IDS)
    told = _first(result, _RESULTS)
    if isinstance(told, dict) and told.keys() <= {"type", "value", "text"} and "value" in told:
        told = told["value"]  # the AI SDK names the type of each result
    if isinstance(told, list) and told and all(isinstance(part, dict) for part in told):
        texts = [part for part in split_parts(told).content if part.get("type") == "text"]
        told = "\n".join(part["text"] for part in texts) if len(texts) == len(told) else told
    message: dict[str, Any] = {"role": "tool", "content": "" if told is None else to_text(told)}
    if isinstance(call_id, str) and call_id:
        message["tool_call_id"] = call_id
    name = _first(result, _NAMES)
    return {**message, "name": name} if isinstance(name, str) and name else message


def _first(source: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if (value := source.get(name)) is not None:
            return value
    return None


def _first_object(source: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any] | None:
    for name in names:
        if name in source and isinstance(source[name], dict):
            found: dict[str, Any] = source[name]
            return found
    return None


def function_definition(content: object) -> dict[str, Any] | None:
    """Return the function that a message of role `tool` defines, as LangChain's exports hold them, or None."""
    inner = parse_embedded_json(content)
    if not isinstance(inner, dict):
        return None
    if inner.get("type") == "function" and isinstance(inner.get("function"), dict) and "name" in inner["function"]:
        return inner
    named = isinstance(inner.get("name"), str) and "description" in inner
    return inner if named and ("input_schema" in inner or "parameters" in inner) else None


def tool_ids(calls: object) -> dict[str, str]:
    """Return the ids of the tool calls in a list by the names of their tools."""
    written = (write_call(call) for call in list_objects(calls))
    return {call["function"]["name"]: call["id"] for call in written if call is not None and "function" in call}
