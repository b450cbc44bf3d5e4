"""Decode the output items of OpenAI's Responses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from understudies.dialects import detection
from understudies.dialects.json_fields import list_objects, text_or_empty
from understudies.events import Response
from understudies.importers.json_parsing import NotARecordedCall

_ANSWER_ITEMS: Final = frozenset({"message", "function_call", "custom_tool_call"})
_OUTPUT_ITEMS: Final = _ANSWER_ITEMS | {"reasoning", "web_search_call", "file_search_call", "computer_call", "mcp_call"}


def decode_output(items: Sequence[Any], about: Mapping[str, Any] | None = None) -> Response:
    """Decode the output items of OpenAI's Responses; raises NotARecordedCall if they hold no answer."""
    output = [item if "type" in item else {**item, "type": "message"} for item in list_objects(items)]
    if not any(text_or_empty(item["type"]) in _ANSWER_ITEMS for item in output):
        raise NotARecordedCall("no teacher answer")
    written = [_write_output_message(item) if item["type"] == "message" else item for item in output]
    body = {"status": "completed", **(about or {}), "output": written}
    if not isinstance(body["status"], str) or body["status"] not in ("completed", "incomplete"):
        body["status"] = "completed"
    return detection.decode_response(body).response


def _write_output_message(item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    if isinstance(content, str):
        return {**item, "content": [{"type": "output_text", "text": content}]}
    parts = [{**part, "type": "output_text"} if part.get("type") == "text" else part for part in list_objects(content)]
    return {**item, "content": parts}


def is_output(items: Sequence[Any]) -> bool:
    """Return whether the objects in a list are output items of Responses: their types tell, as messages have roles."""
    objects = list_objects(items)
    kinds = [text_or_empty(item.get("type")) for item in objects]
    if not all(kind in _OUTPUT_ITEMS or kind.endswith("_call") for kind in kinds):
        are_messages = all("content" in item and "role" in item for item in objects)
        return bool(kinds) and are_messages and any(is_output_message(item) for item in objects)
    return any(kind != "message" for kind in kinds) or any(is_output_message(item) for item in objects)


def is_output_message(item: Mapping[str, Any]) -> bool:
    """Return whether the object is a message among the output items: its parts tell."""
    parts = [part.get("type") for part in list_objects(item.get("content"))]
    return "output_text" in parts or (item.get("type") == "message" and "refusal" in parts)
