"""Anthropic's content blocks, read as canonical messages and parts."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from understudies.router.dialects.fields import encode_json_text, object_or_empty, text_or_empty, without_none

_THINKING_BLOCKS: Final = frozenset({"thinking", "redacted_thinking"})


class TurnDecoder:
    """One message; what tools returned in it becomes messages of their own. `state` takes what only Anthropic knows."""

    def __init__(self, role: Any, state: set[str]) -> None:
        self._role = role
        self._state = state
        self._messages: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []

    def decode(self, blocks: list[Any]) -> list[dict[str, Any]]:
        """The canonical messages in a message's blocks."""
        for block in blocks:
            self._read(block if isinstance(block, dict) else {"type": "text", "text": block})
        self._close(last=True)
        return self._messages

    def _read(self, block: dict[str, Any]) -> None:
        kind = text_or_empty(block.get("type"))
        if kind == "tool_use":
            self._calls.append(decode_tool_call(block))
        elif kind == "tool_result":
            self._close()
            self._messages.append(_decode_tool_result(block, self._state))
        elif kind not in _THINKING_BLOCKS:
            self._parts.append(_decode_part(block, self._state))

    def _close(self, *, last: bool = False) -> None:
        if self._parts or self._calls or (last and not self._messages):
            message = {"role": self._role, "content": join_parts(self._parts)}
            self._messages.append({**message, "tool_calls": self._calls} if self._calls else message)
            self._parts, self._calls = [], []


def decode_content(content: Any, state: set[str]) -> Any:
    """Canonical content of text or blocks."""
    if not isinstance(content, list):
        return content
    blocks = (block if isinstance(block, dict) else {"type": "text", "text": block} for block in content)
    return join_parts(
        [_decode_part(block, state) for block in blocks if text_or_empty(block.get("type")) not in _THINKING_BLOCKS]
    )


def join_parts(parts: list[dict[str, Any]]) -> Any:
    """Content of parts: a single piece of text stands for itself, none is nothing."""
    if len(parts) == 1 and parts[0].get("type") == "text":
        return parts[0]["text"]
    return parts or None


def decode_tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's call; raises Unreadable for input that cannot be written."""
    given = block.get("input")
    written = given if isinstance(given, str) else encode_json_text({} if given is None else given)
    return {
        "id": text_or_empty(block.get("id")),
        "function": {"name": text_or_empty(block.get("name")), "arguments": written},
    }


def _decode_tool_result(block: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    content = decode_content(block.get("content"), state)
    return {"role": "tool", "tool_call_id": text_or_empty(block.get("tool_use_id")), "content": content or ""}


def _decode_part(block: dict[str, Any], state: set[str]) -> dict[str, Any]:
    kind = text_or_empty(block.get("type"))
    if kind == "text":
        return {"type": "text", "text": block.get("text")}
    source = object_or_empty(block.get("source"))
    read = _SOURCES.get(text_or_empty(source.get("type"))) if kind in ("image", "document") else None
    part = None if read is None else read(kind, source, block)
    if part is not None:
        return part
    state.add(kind)
    return {name: value for name, value in block.items() if name != "cache_control"}


def _bytes(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    data = f"data:{text_or_empty(source.get('media_type'))};base64,{text_or_empty(source.get('data'))}"
    return _image(data) if kind == "image" else _file(file_data=data, filename=block.get("title"))


def _url(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    url = text_or_empty(source.get("url"))
    return _image(url) if kind == "image" else _file(file_url=url, filename=block.get("title"))


def _text(kind: str, source: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any] | None:
    cited = object_or_empty(block.get("citations")).get("enabled")
    heading = [text_or_empty(block.get(name)) for name in ("title", "context")]
    text = "\n".join(part for part in (*heading, text_or_empty(source.get("data"))) if part)
    return None if kind != "document" or cited else {"type": "text", "text": text}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _file(**about: Any) -> dict[str, Any]:
    return {"type": "file", "file": without_none(**about)}


_SOURCES: Final[Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None]]] = {
    "base64": _bytes,
    "url": _url,
    "text": _text,
}
