"""Convert the messages of client libraries to the providers' form: a list of JSON objects."""

from collections.abc import Mapping
from typing import Any

from understudies.client.decoding.json_values import get_field, to_plain_object
from understudies.client.errors import NotRecorded
from understudies.dialects.json_fields import arguments_text, encode_json_text

_ROLES = {"human": "user", "ai": "assistant", "chat": "user", "model": "assistant", "AIMessageChunk": "assistant"}

_BESIDE_CONTENT = ("refusal", "audio", "images")
_KEPT_FIELDS = ("name", "tool_call_id", "function_call", *_BESIDE_CONTENT)


def write_messages(value: Any) -> list[dict[str, Any]]:
    """Convert a teacher's argument, which is a prompt, a list of messages or an object that has them, to messages."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if callable(getattr(value, "to_messages", None)):
        value = value.to_messages()
    if not isinstance(value, list | tuple) or not value:
        raise NotRecorded("unreadable", f"no messages in a {type(value).__name__}")
    return [_write_item(item) for item in value]


def _write_item(item: Any) -> dict[str, Any]:
    if isinstance(item, tuple) and len(item) == 2:
        item = {"role": item[0], "content": item[1]}
    if isinstance(item, str):
        item = {"role": "user", "content": item}
    role = get_field(item, "role") or get_field(item, "type")
    if not isinstance(role, str):
        raise NotRecorded("unreadable", f"a {type(item).__name__} is no message")
    plain = to_plain_object(item)
    if "images" not in plain and get_field(item, "images"):
        plain["images"] = [{"type": "image"}]  # as bytes, which are no JSON: that they are there is part of the input
    return write_message(_ROLES.get(role, role), plain)


def write_message(role: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert one message to a provider's form: bare text in a list becomes parts, tool calls take their usual form."""
    message: dict[str, Any] = {"role": role, "content": write_content(item.get("content"))}
    calls = item.get("tool_calls")
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [_write_tool_call(call) for call in calls if isinstance(call, dict)]
    item = {**item, **read_beside_content(item)}
    return message | {name: item[name] for name in _KEPT_FIELDS if item.get(name) is not None}


def read_beside_content(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the audio, the images and the refusal of a message of LangChain, which keeps there what is not its own."""
    more = item.get("additional_kwargs")
    return {name: more[name] for name in _BESIDE_CONTENT if more.get(name)} if isinstance(more, Mapping) else {}


def write_content(content: Any) -> Any:
    """Convert content to text or a list of parts; anything else becomes its JSON text."""
    if isinstance(content, list):
        parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
        return [part for part in parts if get_field(part, "type") != "reasoning"]
    return content if content is None or isinstance(content, str) else encode_json_text(content)


def _write_tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a tool call; LangChain gives its arguments as an object under `args`."""
    if isinstance(call.get("function"), dict) or isinstance(call.get("custom"), dict):
        return dict(call)
    function = {"name": str(call.get("name") or ""), "arguments": arguments_text(call.get("args"))}
    return {"id": call.get("id") or "", "type": "function", "function": function}
