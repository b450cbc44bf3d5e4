"""Messages as OpenAI, Anthropic and LangChain write them, read as contracts."""

from collections.abc import Iterator
from typing import Any

from understudies.client.decoding.json_values import get_field, to_json, to_json_text
from understudies.client.errors import NotRecorded

_ROLES = {"human": "user", "ai": "assistant", "chat": "user", "model": "assistant", "AIMessageChunk": "assistant"}

_REASONING_BLOCKS = ("thinking", "redacted_thinking")  # on the way to the answer, no part of it


def decode_messages(value: Any) -> list[dict[str, Any]]:
    """The messages in a teacher's argument: a prompt, a list of messages, or an object that has them."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if callable(getattr(value, "to_messages", None)):
        value = value.to_messages()
    if not isinstance(value, list | tuple) or not value:
        raise NotRecorded("unreadable", f"no messages in a {type(value).__name__}")
    return [message for item in value for message in _decode_item(item)]


def _decode_item(item: Any) -> Iterator[dict[str, Any]]:
    if isinstance(item, tuple) and len(item) == 2:
        item = {"role": item[0], "content": item[1]}
    if isinstance(item, str):
        item = {"role": "user", "content": item}
    role = get_field(item, "role") or get_field(item, "type")
    if not isinstance(role, str):
        raise NotRecorded("unreadable", f"a {type(item).__name__} is no message")
    yield from decode_message(_ROLES.get(role, role), item)


def decode_message(role: str, item: Any) -> Iterator[dict[str, Any]]:
    """One message, after the tools' results that Anthropic puts inside it."""
    content, calls, results = _decode_content(get_field(item, "content"))
    yield from results
    calls += [_decode_tool_call(call) for call in get_field(item, "tool_calls") or ()]
    message: dict[str, Any] = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if isinstance(get_field(item, name), str):
            message[name] = get_field(item, name)
    if content or calls or not results:
        yield message


def _decode_content(content: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    if not isinstance(content, list | tuple):
        return (content if content is None or isinstance(content, str) else to_json_text(content)), [], []
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in content:
        kind = "text" if isinstance(part, str) else get_field(part, "type")
        if kind == "tool_use":
            calls.append(_build_tool_call(get_field(part, "id"), get_field(part, "name"), get_field(part, "input")))
        elif kind == "tool_result":
            results.append(_decode_tool_result(part))
        elif kind == "text":
            parts.append({"type": "text", "text": part if isinstance(part, str) else get_field(part, "text")})
        elif kind not in _REASONING_BLOCKS:
            parts.append(to_json(part))
    return _simplify_parts(parts), calls, results


def _simplify_parts(parts: list[dict[str, Any]]) -> Any:
    """A single piece of text stands for itself."""
    if not parts:
        return None
    alone = parts[0].get("text")
    return alone if len(parts) == 1 and parts[0].get("type") == "text" and isinstance(alone, str) else parts


def _decode_tool_result(part: Any) -> dict[str, Any]:
    content = get_field(part, "content")
    if isinstance(content, list | tuple):
        content = _decode_content(content)[0]
    return {"role": "tool", "tool_call_id": str(get_field(part, "tool_use_id")), "content": content}


def _decode_tool_call(call: Any) -> dict[str, Any]:
    function = get_field(call, "function")
    if function is not None:
        return _build_tool_call(get_field(call, "id"), get_field(function, "name"), get_field(function, "arguments"))
    custom = get_field(call, "custom")
    if custom is not None:
        return _build_tool_call(get_field(call, "id"), get_field(custom, "name"), get_field(custom, "input"))
    return _build_tool_call(get_field(call, "id"), get_field(call, "name"), get_field(call, "args"))


def _build_tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    text = to_json_text({} if arguments is None else arguments)
    return {"id": call_id or "", "function": {"name": str(name or ""), "arguments": text}}
