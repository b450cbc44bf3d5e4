"""Messages as OpenAI, Anthropic and LangChain write them, read as contracts."""

from collections.abc import Iterator
from typing import Any

from understudies.client.errors import NotRecorded
from understudies.client.plain import get, json_text, plain

_ROLES = {"human": "user", "ai": "assistant", "chat": "user", "model": "assistant", "AIMessageChunk": "assistant"}

_THOUGHTS = ("thinking", "redacted_thinking")  # on the way to the answer, no part of it


def messages_of(value: Any) -> list[dict[str, Any]]:
    """The messages in a teacher's argument: a prompt, a list of messages, or an object that has them."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if callable(getattr(value, "to_messages", None)):
        value = value.to_messages()
    if not isinstance(value, list | tuple) or not value:
        raise NotRecorded("unreadable", f"no messages in a {type(value).__name__}")
    return [message for item in value for message in _read(item)]


def _read(item: Any) -> Iterator[dict[str, Any]]:
    if isinstance(item, tuple) and len(item) == 2:
        item = {"role": item[0], "content": item[1]}
    if isinstance(item, str):
        item = {"role": "user", "content": item}
    role = get(item, "role") or get(item, "type")
    if not isinstance(role, str):
        raise NotRecorded("unreadable", f"a {type(item).__name__} is no message")
    yield from message_of(_ROLES.get(role, role), item)


def message_of(role: str, item: Any) -> Iterator[dict[str, Any]]:
    """One message, after the tools' results that Anthropic puts inside it."""
    content, calls, results = _content(get(item, "content"))
    yield from results
    calls += [_call(call) for call in get(item, "tool_calls") or ()]
    message: dict[str, Any] = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if isinstance(get(item, name), str):
            message[name] = get(item, name)
    if content or calls or not results:
        yield message


def _content(content: Any) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    if not isinstance(content, list | tuple):
        return (content if content is None or isinstance(content, str) else json_text(content)), [], []
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in content:
        kind = "text" if isinstance(part, str) else get(part, "type")
        if kind == "tool_use":
            calls.append(_called(get(part, "id"), get(part, "name"), get(part, "input")))
        elif kind == "tool_result":
            results.append(_result(part))
        elif kind == "text":
            parts.append({"type": "text", "text": part if isinstance(part, str) else get(part, "text")})
        elif kind not in _THOUGHTS:
            parts.append(plain(part))
    return _joined(parts), calls, results


def _joined(parts: list[dict[str, Any]]) -> Any:
    """A single piece of text stands for itself."""
    if not parts:
        return None
    alone = parts[0].get("text")
    return alone if len(parts) == 1 and parts[0].get("type") == "text" and isinstance(alone, str) else parts


def _result(part: Any) -> dict[str, Any]:
    content = get(part, "content")
    if isinstance(content, list | tuple):
        content = _content(content)[0]
    return {"role": "tool", "tool_call_id": str(get(part, "tool_use_id")), "content": content}


def _call(call: Any) -> dict[str, Any]:
    function = get(call, "function")
    if function is not None:
        return _called(get(call, "id"), get(function, "name"), get(function, "arguments"))
    custom = get(call, "custom")
    if custom is not None:
        return _called(get(call, "id"), get(custom, "name"), get(custom, "input"))
    return _called(get(call, "id"), get(call, "name"), get(call, "args"))


def _called(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    text = json_text({} if arguments is None else arguments)
    return {"id": call_id or "", "function": {"name": str(name or ""), "arguments": text}}
