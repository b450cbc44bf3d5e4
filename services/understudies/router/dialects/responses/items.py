"""The items of OpenAI's Responses, read as canonical messages."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.base import InvalidRequest
from understudies.router.dialects.fields import text_or_empty, without_none

_TEXT_KINDS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
_CALL_ARGUMENTS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_TOOL_OUTPUT_ITEMS: Final = frozenset({"function_call_output", "custom_tool_call_output"})


class ConversationDecoder:
    """Grows item by item; `state` takes the kinds of items that only the provider can follow."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.state: set[str] = set()
        self._open: dict[str, Any] | None = None

    def decode(self, items: list[Any]) -> None:
        """Add the items of an input; raises Unreadable."""
        for place, item in enumerate(items):
            if not isinstance(item, dict):
                raise InvalidRequest(f"input.{place}: an object", f"input.{place}")
            self._read(item)

    def add_message(self, role: Any, content: Any) -> None:
        """Add a message."""
        message = {"role": role, "content": self._content(content)}
        self.messages.append(message)
        self._open = message if role == "assistant" else None

    def _read(self, item: dict[str, Any]) -> None:
        kind = text_or_empty(item.get("type")) or ("message" if "role" in item else "item_reference")
        if kind == "message":
            self.add_message(item.get("role"), item.get("content"))
        elif kind in _CALL_ARGUMENTS:
            self._call(item, kind)
        elif kind in _TOOL_OUTPUT_ITEMS:
            content = self._content(item.get("output"))
            self.messages.append(
                {"role": "tool", "content": content, "tool_call_id": text_or_empty(item.get("call_id"))}
            )
            self._open = None
        elif kind != "reasoning":
            self.state.add(kind)
            self.messages.append({"role": "assistant", "content": [item]})
            self._open = None

    def _call(self, item: Mapping[str, Any], kind: str) -> None:
        """Add a tool's call to what the assistant says at this point."""
        if self._open is None:
            self._open = {"role": "assistant", "content": None}
            self.messages.append(self._open)
        self._open.setdefault("tool_calls", []).append(decode_tool_call(item, kind))
        if item.get("namespace"):
            self.state.add("namespace")

    def _content(self, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        parts = [self._part(part if isinstance(part, dict) else {"type": "text", "text": part}) for part in content]
        return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = text_or_empty(part.get("type"))
        if kind in _TEXT_KINDS:
            return {"type": "text", "text": part.get("text")}
        if part.get("file_id"):
            self.state.add("file_id")
        if kind == "input_image":
            image = without_none(url=part.get("image_url"), file_id=part.get("file_id"), detail=part.get("detail"))
            return {"type": "image_url", "image_url": image}
        if kind == "input_file":
            about = {name: part.get(name) for name in ("file_data", "file_id", "file_url", "filename")}
            return {"type": "file", "file": without_none(**about)}
        return {"type": kind, **{name: value for name, value in part.items() if name != "type"}}


def decode_tool_call(item: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A tool's call as a canonical one."""
    return {
        "id": text_or_empty(item.get("call_id")),
        "type": "custom" if kind == "custom_tool_call" else "function",
        "function": {"name": item.get("name"), "arguments": item.get(_CALL_ARGUMENTS[kind])},
    }
