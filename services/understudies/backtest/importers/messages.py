"""Convert recorded messages to the providers' form, from the various roles and fields that logs use."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudies.backtest.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.dialects.json_fields import arguments_text, encode_json_text, list_objects

_ROLES: Final = {
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
_RESPONSES_ITEMS: Final = frozenset(
    {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"}
    | {"item_reference", "web_search_call", "file_search_call", "computer_call", "mcp_call"}
)
_RESPONSES_PARTS: Final = frozenset({"input_text", "output_text", "input_image", "input_file"})
_TEXT_PARTS: Final = frozenset({"input_text", "output_text"})


def write_messages(value: object) -> list[dict[str, Any]]:
    """Convert a list of messages, a single message or the text of a user to messages; raises NotARecordedCall."""
    value = parse_embedded_json(value)
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise NotARecordedCall("messages is not a list")
    return [_write_item(item, place) for place, item in enumerate(value, 1)]


def is_responses_item(item: Mapping[str, Any]) -> bool:
    """Return whether this is an item of OpenAI's Responses that is not a chat message."""
    return "role" not in item and item.get("type") in _RESPONSES_ITEMS


def is_responses_input(items: Sequence[Mapping[str, Any]], *, named_input: bool = False) -> bool:
    """Return whether the items are the input of OpenAI's Responses; items with a chat's tool calls are not.

    `named_input` is true if the record holds them in a field `input`, as request bodies of Responses do.
    """
    if any("tool_calls" in item or item.get("role") == "tool" for item in items):
        return False
    return named_input or any(
        is_responses_item(item) or any(part.get("type") in _RESPONSES_PARTS for part in list_objects(item["content"]))
        for item in items
    )


def as_chat_message(message: dict[str, Any]) -> dict[str, Any]:
    """Convert the text parts of OpenAI's Responses in a message to those of a chat."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [
        {"type": "text", "text": part.get("text")} if part.get("type") in _TEXT_PARTS else part for part in content
    ]
    return {**message, "content": parts}


def write_message(item: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Convert one message to a provider's form; optional fields that cannot be read are omitted."""
    message: dict[str, Any] = {"role": role, "content": _write_content(item.get("content"))}
    calls = write_tool_calls(item.get("tool_calls"))
    if calls:
        message["tool_calls"] = calls
    function = item.get("function_call")
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        message["function_call"] = _write_function(function)
    names = ("name", "tool_call_id", "refusal")
    return message | {name: item[name] for name in names if isinstance(item.get(name), str) and item[name]}


def write_tool_calls(value: object) -> list[dict[str, Any]]:
    """Convert the tool calls in a list; those that cannot be read are omitted."""
    return [written for call in list_objects(value) if (written := _write_tool_call(call)) is not None]


def _write_item(item: object, place: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise NotARecordedCall(f"message {place} is not an object")
    if is_responses_item(item):
        return {**item, "content": None} if "content" not in item else item
    return write_message(item, _find_role(item, place))


def _find_role(item: Mapping[str, Any], place: int) -> str:
    written = item.get("role", item.get("type"))
    role = _ROLES.get(written.strip().lower()) if isinstance(written, str) else None
    if role is None:
        raise NotARecordedCall(f"message {place} has no known role: {str(written)[:40]!r}")
    return role


def _write_content(content: object) -> Any:
    if isinstance(content, list):
        parts = [_write_part(part) for part in content]
        return [part for part in parts if part.get("type") != "reasoning"]
    return content if content is None else _to_text(content)


def _write_part(part: object) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "text", "text": _to_text(part)}
    content = part.get("content")
    if part.get("type") == "tool_result" and not isinstance(content, str | list | None):
        return {**part, "content": _to_text(content)}
    return part


def _write_tool_call(call: Mapping[str, Any]) -> dict[str, Any] | None:
    if isinstance(call.get("custom"), dict):
        return dict(call)
    function = call.get("function", call)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    call_id = call.get("id")
    return {
        "id": call_id if isinstance(call_id, str) else "",
        "type": "function",
        "function": _write_function(function),
    }


def _write_function(function: Mapping[str, Any]) -> dict[str, Any]:
    given = function.get("arguments", function.get("args"))
    return {"name": function["name"], "arguments": arguments_text(given)}


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("type") == "text" and isinstance(value.get("text"), str):
        return str(value["text"])
    return encode_json_text(value)
