"""Messages in the forms that providers and logs give them, as the contracts have them."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from understudies.backtest.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.events import FunctionCall, Message, ToolCall
from understudies.events.request import Role

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "function",
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_TEXT_BLOCKS = frozenset({"text", "input_text", "output_text", "refusal"})
_REASONING_BLOCKS = frozenset({"thinking", "redacted_thinking", "reasoning"})


def decode_messages(value: object) -> list[Message]:
    """The messages in a list of them, in one, or in the text of one user; raises NotARecordedCall."""
    value = parse_embedded_json(value)
    if isinstance(value, str):
        return [Message(role="user", content=value)]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise NotARecordedCall("messages is not a list")
    return [message for place, item in enumerate(value, 1) for message in _decode_item(item, place)]


def decode_message(value: Mapping[str, Any]) -> Message:
    """The one message in an object, whatever its role says; the assistant's where it has none."""
    found = list(_decode_message_object(value, "assistant"))
    if len(found) != 1:
        raise NotARecordedCall("the answer is not one message")
    return found[0]


def _decode_item(item: object, place: int) -> Iterator[Message]:
    if not isinstance(item, dict):
        raise NotARecordedCall(f"message {place} is not an object")
    kind = item.get("type")
    if kind == "function_call" and "role" not in item:
        call = ToolCall(id=_text_or_empty(item.get("call_id")), function=_decode_function(item))
        yield Message(role="assistant", tool_calls=(call,))
    elif kind == "function_call_output" and "role" not in item:
        yield Message(
            role="tool", content=_to_text(item.get("output")), tool_call_id=_text_or_empty(item.get("call_id"))
        )
    elif kind != "reasoning":
        yield from _decode_message_object(item, _decode_role(item, place))


def _decode_role(item: Mapping[str, Any], place: int) -> Role:
    written = item.get("role", item.get("type"))
    role = _ROLES.get(written.strip().lower()) if isinstance(written, str) else None
    if role is None:
        raise NotARecordedCall(f"message {place} has no known role: {str(written)[:40]!r}")
    return role


def _decode_message_object(item: Mapping[str, Any], role: Role) -> Iterator[Message]:
    content = item.get("content")
    calls = decode_tool_calls(item.get("tool_calls"), item.get("function_call"))
    name = item.get("name")
    if isinstance(content, list):
        results, content, blocks = _decode_blocks(content)
        calls += blocks
        yield from results
        if results and content is None and not calls:
            return
    elif content is not None and not isinstance(content, str):
        content = _to_text(content)
    if content is None and not calls and isinstance(item.get("refusal"), str):
        content = item["refusal"]
    yield Message(
        role=role,
        content=content,
        name=name if isinstance(name, str) and role != "assistant" else None,
        tool_calls=calls or None,
        tool_call_id=_text_or_empty(item.get("tool_call_id")) or None,
    )


def _decode_blocks(blocks: list[Any]) -> tuple[list[Message], str | list[dict[str, Any]] | None, tuple[ToolCall, ...]]:
    """The results of tools, the content, and the calls of tools in a list of content blocks."""
    results: list[Message] = []
    parts: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    for block in blocks:
        match block:
            case str():
                parts.append({"type": "text", "text": block})
            case {"type": "tool_use"}:
                function = _decode_function({"name": block.get("name"), "arguments": block.get("input")})
                calls.append(ToolCall(id=_text_or_empty(block.get("id")), function=function))
            case {"type": "tool_result"}:
                content = _to_text(block.get("content"))
                results.append(
                    Message(role="tool", content=content, tool_call_id=_text_or_empty(block.get("tool_use_id")))
                )
            case {"type": kind} if kind in _REASONING_BLOCKS:
                continue
            case {"type": kind} if kind in _TEXT_BLOCKS:
                parts.append({"type": "text", "text": _to_text(block.get("text", block.get("refusal")))})
            case dict():
                parts.append(block)
    return results, _join_parts(parts), tuple(calls)


def _join_parts(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    if not parts:
        return None
    if all(part.get("type") == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def decode_tool_calls(value: object, function_call: object = None) -> tuple[ToolCall, ...]:
    """The calls of tools in a list, or in the older single `function_call`; what cannot be read is left out."""
    calls = [call for call in value if isinstance(call, dict)] if isinstance(value, list) else []
    if isinstance(function_call, dict):
        calls.append({"function": function_call})
    found = []
    for call in calls:
        function = call.get("function", call)
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            found.append(ToolCall(id=_text_or_empty(call.get("id")), function=_decode_function(function)))
    return tuple(found)


def _decode_function(value: Mapping[str, Any]) -> FunctionCall:
    arguments = value.get("arguments", value.get("args"))
    written = "{}" if arguments is None else _to_text(arguments)
    return FunctionCall(name=str(value.get("name", "")), arguments=written)


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    if isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str):
        return str(value["text"])
    return orjson.dumps(value).decode()
