"""Tell the role of a message from the names that logs and libraries have for it."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.importers.json_parsing import NotARecordedCall

_ROLES: Final = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "function",
    "human": "user",
    "ai": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "chatgpt": "assistant",
    "aimessagechunk": "assistant",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "systemmessage": "system",
    "aimessage": "assistant",
    "toolmessage": "tool",
    "functionmessage": "function",
    "ipython": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "tool-result": "tool",
    "request": "user",
    "response": "assistant",
}


def find_role(item: Mapping[str, Any], place: int, called: Mapping[str, str]) -> str:
    """Return the role of the message at a place; one named after a tool that was `called` tells its result.

    Raises NotARecordedCall.
    """
    author = item.get("author")
    named = author.get("role") if isinstance(author, dict) else None
    written = next((value for name in ("role", "from", "type") if (value := item.get(name)) is not None), named)
    if isinstance(written, str):
        role = _ROLES.get(written.strip().lower())
        if role is not None:
            return role
        if written in called:
            return "tool"
    raise NotARecordedCall(f"message {place} has no known role: {str(written)[:40]!r}")
